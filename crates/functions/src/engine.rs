//! Functions in FROM whose rows the engine itself gives: who holds memory, the plan cache, settings, temporary files, tables.
//!
//! They take no arguments. A planner reads them as tables of these columns; a host gives the rows when a statement begins to
//! read them.

use cofferdam_types::Type;

/// What the engine tells of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EngineTable {
    /// The tree of budgets.
    Memory,
    /// The plan cache.
    PlanCache,
    /// The settings.
    Settings,
    /// The temporary files that there are.
    TemporaryFiles,
    /// The tables.
    Tables,
}

/// A column of a table of the engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EngineColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
}

const fn column(name: &'static str, ty: Type) -> EngineColumn {
    EngineColumn { name, ty }
}

impl EngineTable {
    /// All of them, by name.
    pub const ALL: [EngineTable; 5] = [
        EngineTable::Memory,
        EngineTable::PlanCache,
        EngineTable::Settings,
        EngineTable::Tables,
        EngineTable::TemporaryFiles,
    ];

    /// The one that a call in FROM means.
    pub fn named(name: &str) -> Option<EngineTable> {
        EngineTable::ALL.into_iter().find(|table| table.name() == name)
    }

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            EngineTable::Memory => "cofferdam_memory",
            EngineTable::PlanCache => "cofferdam_plan_cache",
            EngineTable::Settings => "cofferdam_settings",
            EngineTable::TemporaryFiles => "cofferdam_temporary_files",
            EngineTable::Tables => "cofferdam_tables",
        }
    }

    /// What it tells.
    pub const fn about(self) -> &'static str {
        match self {
            EngineTable::Memory => {
                "the budgets, parents first: bytes that each may take, holds with all below it, holds itself, and held at most"
            }
            EngineTable::PlanCache => {
                "the plans that wait for statements that come again, what they take with those in use, and how many statements found \
                 theirs or did not"
            }
            EngineTable::Settings => "the settings with their values now and at first, and whose they are",
            EngineTable::TemporaryFiles => {
                "the temporary files that there are, and the operators that made them"
            }
            EngineTable::Tables => {
                "the tables, their indexes, and the views: about how many rows they have, and bytes of their files"
            }
        }
    }

    /// The columns of its rows.
    pub const fn columns(self) -> &'static [EngineColumn] {
        match self {
            EngineTable::Memory => {
                const {
                    &[
                        column("path", Type::Text),
                        column("name", Type::Text),
                        column("depth", Type::Integer),
                        column("limit_bytes", Type::BigInt),
                        column("used_bytes", Type::BigInt),
                        column("own_bytes", Type::BigInt),
                        column("peak_bytes", Type::BigInt),
                        column("pressure", Type::Text),
                    ]
                }
            }
            EngineTable::PlanCache => {
                const {
                    &[
                        column("plans_count", Type::BigInt),
                        column("used_bytes", Type::BigInt),
                        column("hits_count", Type::BigInt),
                        column("misses_count", Type::BigInt),
                    ]
                }
            }
            EngineTable::Settings => {
                const {
                    &[
                        column("name", Type::Text),
                        column("setting", Type::Text),
                        column("default_setting", Type::Text),
                        column("unit", Type::Text),
                        column("scope", Type::Text),
                        column("description", Type::Text),
                    ]
                }
            }
            EngineTable::TemporaryFiles => {
                const { &[column("name", Type::Text), column("bytes", Type::BigInt), column("owner", Type::Text)] }
            }
            EngineTable::Tables => {
                const {
                    &[
                        column("name", Type::Text),
                        column("kind", Type::Text),
                        column("parent", Type::Text),
                        column("columns_count", Type::Integer),
                        column("rows_estimate", Type::BigInt),
                        column("bytes", Type::BigInt),
                        column("indexes_count", Type::Integer),
                    ]
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_one_table_and_ascend() {
        assert!(EngineTable::ALL.is_sorted_by_key(|table| table.name()));
        for table in EngineTable::ALL {
            assert_eq!(EngineTable::named(table.name()), Some(table));
            let names: Vec<_> = table.columns().iter().map(|column| column.name).collect();
            assert!((1..names.len()).all(|index| !names[..index].contains(&names[index])), "{names:?}");
        }
        assert_eq!(EngineTable::named("cofferdam"), None);
    }
}

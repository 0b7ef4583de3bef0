//! Functions, privileges and other objects as a consumer reads them: through views alone.

use cofferdam_sql::Tree;
use cofferdam_sql::views::Statement;
use cofferdam_sql::views::forms::{CreateFunction, Grant, GrantRole, Revoke};

use crate::parsed;

/// What `look` sees in the only statement of `text`.
fn seen(text: &str, look: impl FnOnce(Tree<'_>)) {
    parsed(text, 1 << 20, |tree| look(tree.unwrap_or_else(|error| panic!("{text}: {error}"))));
}

#[test]
fn views_show_a_function() {
    let text = "CREATE OR REPLACE FUNCTION s.add(a integer, OUT b numeric(10, 2), VARIADIC c text[] = '{}', int DEFAULT 1)
        RETURNS SETOF t.total%TYPE LANGUAGE Scheme MEMORY '1MB' STRICT COST 10 AS $$(+ a 1)$$";
    seen(text, |tree| {
        let function = CreateFunction::of(tree.root()).expect("a function");
        assert!(function.or_replace());
        let name = function.name().expect("a name");
        assert_eq!((name.qualifier(), name.name()), (Some("s"), "add"));
        let parameters: Vec<_> = function.parameters().collect();
        assert_eq!(parameters.len(), 4);
        assert_eq!(parameters[0].name(), Some("a"));
        assert_eq!(parameters[0].type_name().expect("a type").name(), "integer");
        assert!(parameters[0].default().is_none());
        assert!(parameters[1].mode_out() && !parameters[1].mode_in());
        assert_eq!(parameters[1].type_name().expect("a type").modifiers().count(), 2);
        assert!(parameters[2].variadic() && parameters[2].default().is_some());
        assert_eq!(parameters[3].name(), None);
        assert_eq!(parameters[3].default().expect("a default").node().to_string(), "1");
        let result = function.return_type().expect("a type");
        assert!(result.is_set() && result.is_of_column());
        assert_eq!((result.schema(), result.name()), (Some("t"), "total"));
        assert_eq!(function.language(), Some("scheme"));
        assert_eq!(function.body(), Some("(+ a 1)"));
        assert_eq!(function.memory(), Some("1MB"));
        assert!(function.options().any(|option| option.strict()));
        assert_eq!(function.options().find_map(|option| option.cost()), Some("10"));
    });
}

#[test]
fn views_show_bodies_of_sql() {
    seen("CREATE FUNCTION f(a int) RETURNS TABLE (b int, c text) RETURN a + 1", |tree| {
        let function = CreateFunction::of(tree.root()).expect("a function");
        let columns: Vec<_> = function.columns().filter_map(|column| column.name()).collect();
        assert_eq!(columns, ["b", "c"]);
        let value = function.value().and_then(|body| body.value()).expect("a value");
        assert_eq!(value.node().to_string(), "a + 1");
        assert_eq!((function.body(), function.language()), (None, None));
    });
    let text = "CREATE PROCEDURE p() BEGIN ATOMIC SELECT 1; ; GRANT a TO b; RETURN 2; END";
    seen(text, |tree| {
        let statements: Vec<String> = cofferdam_sql::views::forms::CreateProcedure::of(tree.root())
            .and_then(|procedure| procedure.block())
            .expect("a block")
            .statements()
            .map(|statement| statement.to_string())
            .collect();
        assert_eq!(statements, ["SELECT 1", "GRANT a TO b", "RETURN 2"]);
    });
}

#[test]
fn memory_is_no_keyword() {
    seen("CREATE FUNCTION memory(memory memory) RETURNS memory memory 'x' AS ''", |tree| {
        let function = CreateFunction::of(tree.root()).expect("a function");
        assert_eq!(function.memory(), Some("x"));
        assert_eq!(function.name().expect("a name").name(), "memory");
        assert!(tree.to_string().ends_with("RETURNS memory MEMORY 'x' AS ''"), "{tree}");
    });
    let refused = ["\"memory\" 'x'", "MEMORY 1", "MEMORY", "memories 'x'"];
    for option in refused {
        let text = format!("CREATE FUNCTION f() RETURNS int {option}");
        parsed(&text, 1 << 20, |tree| assert!(tree.is_err(), "{text}"));
    }
}

#[test]
fn views_show_privileges() {
    let text = "GRANT SELECT, UPDATE (a, b), usage ON TABLE s.t, u TO PUBLIC, CURRENT_USER, GROUP g WITH GRANT OPTION";
    seen(text, |tree| {
        let grant = Grant::of(tree.root()).expect("a grant");
        assert!(grant.grant_option() && !grant.all());
        let privileges: Vec<_> = grant.privileges().collect();
        assert!(privileges[0].select());
        assert_eq!(privileges[1].name(), Some("update"));
        assert_eq!(privileges[1].columns().collect::<Vec<_>>(), ["a", "b"]);
        let target = grant.target().expect("a target");
        let tables: Vec<_> = target.tables().map(|table| (table.qualifier(), table.name())).collect();
        assert_eq!(tables, [(Some("s"), "t"), (None, "u")]);
        let roles: Vec<_> = grant.grantees().filter_map(|grantee| grantee.role()).collect();
        assert_eq!((roles[0].name(), roles[2].name()), (Some("public"), Some("g")));
        assert!(roles[1].current_user() && roles[1].name().is_none());
    });
    seen("REVOKE GRANT OPTION FOR ALL ON FUNCTION f(int), g FROM x CASCADE", |tree| {
        let revoke = Revoke::of(tree.root()).expect("a revoke");
        assert!(revoke.all() && revoke.grant_option() && revoke.cascade());
        let target = revoke.target().expect("a target");
        let arguments: Vec<_> = target.functions().map(|function| function.arguments().count()).collect();
        assert_eq!((target.function(), arguments), (true, vec![1, 0]));
    });
    seen("GRANT a, b TO c WITH ADMIN OPTION, INHERIT FALSE GRANTED BY d", |tree| {
        let grant = GrantRole::of(tree.root()).expect("a grant of roles");
        let granted: Vec<_> = grant.privileges().filter_map(|role| role.name()).collect();
        assert_eq!(granted, ["a", "b"]);
        let options: Vec<_> = grant.options().map(|option| (option.name(), option.is_false())).collect();
        assert_eq!(options, [(Some("admin"), false), (Some("inherit"), true)]);
        assert_eq!(grant.grantor().and_then(|role| role.name()), Some("d"));
        assert!(!matches!(tree.statement(), Statement::Query(_)));
    });
}

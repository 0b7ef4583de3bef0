//! A service with a database for each tenant: one limit for all of them together, and one for each. A tenant that asks for too much gets an
//! error that says so, and nobody else notices.
//!
//! `cargo run --example tenants`
#![allow(clippy::disallowed_types, clippy::result_large_err)]

use cofferdam::{Budget, Connection, Database, Error, Options};

const TENANTS: usize = 8;
const SERVICE_BYTES: u64 = 12 << 20;
const TENANT_BYTES: u64 = 2 << 20;

/// A tenant's database: its limit hangs below the service's, and it writes no temporary files.
fn tenant(service: &Budget, number: usize) -> Result<Database, Error> {
    let options =
        Options::new().memory_limit(TENANT_BYTES).parent(service).temp_directory(None).without_worker();
    let database = Database::open_in_memory(options)?;
    let connection = database.connect()?;
    connection.execute("CREATE TABLE notes (id integer PRIMARY KEY, text text)")?;
    let mut notes = connection.appender("notes")?;
    for id in 0..200 {
        notes.append((id, format!("note {id} of tenant {number}")))?;
    }
    notes.finish()?;
    Ok(database)
}

fn note(connection: &Connection, id: i32) -> Result<String, Error> {
    connection.query_row_with("SELECT text FROM notes WHERE id = $1", [id], |row| row.get("text"))
}

/// Runs the example.
///
/// # Errors
/// Whatever goes wrong that should not.
pub(crate) fn main() -> Result<(), Error> {
    let service = Budget::root("service", SERVICE_BYTES)?;
    let tenants = (0..TENANTS).map(|number| tenant(&service, number)).collect::<Result<Vec<_>, _>>()?;
    let connections = tenants.iter().map(Database::connect).collect::<Result<Vec<_>, _>>()?;

    // Each tenant has its own thread. The third one asks for something that its limit has no room for.
    let greedy = "SELECT count(*) FROM (SELECT DISTINCT a.text || b.text || c.id FROM notes a, notes b, notes c) AS all_pairs";
    let held = || tenants[3].budget().walk().next().map(|node| node.used_bytes);
    let before = held();
    let refused = std::thread::scope(|scope| {
        let threads: Vec<_> = connections
            .iter()
            .enumerate()
            .map(|(number, connection)| {
                scope.spawn(move || {
                    if number == 3 {
                        return connection.execute(greedy).map(|_| ());
                    }
                    for id in 0..50 {
                        assert_eq!(note(connection, id)?, format!("note {id} of tenant {number}"));
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect::<Vec<_>>()
    });
    for (number, outcome) in refused.into_iter().enumerate() {
        match outcome {
            Ok(()) => assert_ne!(number, 3),
            Err(error) => {
                println!("tenant {number}: {error}");
                let record = error.out_of_memory().expect("memory is what runs out");
                assert_eq!((number, record.limit_bytes()), (3, TENANT_BYTES));
            }
        }
    }
    // What the statement took is back, and the tenant goes on.
    assert_eq!(held(), before);
    assert_eq!(note(&connections[3], 7)?, "note 7 of tenant 3");
    println!("{}", service.memory_tree());
    assert!(service.peak() <= SERVICE_BYTES);
    drop((connections, tenants));
    assert_eq!(service.walk().next().map(|root| root.own_bytes), Some(service.used()));
    Ok(())
}

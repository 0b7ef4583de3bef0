//! The least that durable rows can cost: one file that grows, and an ordered map of where each row is in it.
//!
//! No engine: opening reads the whole file, memory grows with it, and a torn end is not noticed. It shows what is the
//! system's share of each figure: a commit is a write and a sync, a get a search and a read, whatever the cache's size.

use crate::cell::Outcome;
use crate::kv::{KvEngine, Order, Row, VALUE_BYTES, missing};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

/// Bytes of a row in the file: its key, its text.
const ENTRY_BYTES: usize = 8 + VALUE_BYTES;

/// The file, and its rows.
pub struct Log {
    file: File,
    /// Where the text of each key begins.
    places: Mutex<BTreeMap<u64, u64>>,
}

impl Log {
    fn places(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.places.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn entry(row: &Row) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    entry[..8].copy_from_slice(&row.key.to_le_bytes());
    entry[8..].copy_from_slice(&row.value);
    entry
}

/// Where the text of the `index`th row begins.
fn place(index: usize) -> u64 {
    (index * ENTRY_BYTES + 8) as u64
}

impl KvEngine for Log {
    fn open(dir: &Path, _cache_bytes: usize) -> Outcome<Log> {
        let file = File::options().read(true).append(true).create(true).open(dir.join("rows.log"))?;
        let mut places = BTreeMap::new();
        let mut reader = BufReader::new(&file);
        for index in 0..file.metadata()?.len() as usize / ENTRY_BYTES {
            let mut entry = [0; ENTRY_BYTES];
            reader.read_exact(&mut entry)?;
            let (key, _) = entry.split_first_chunk().ok_or("an entry begins with its key")?;
            places.insert(u64::from_le_bytes(*key), place(index));
        }
        drop(reader);
        Ok(Log { file, places: Mutex::new(places) })
    }

    fn load(&self, rows: &[Row], _order: Order) -> Outcome<()> {
        let mut places = self.places();
        let mut writer = BufWriter::with_capacity(64 << 10, &self.file);
        for row in rows {
            writer.write_all(&entry(row))?;
            let index = places.len();
            places.insert(row.key, place(index));
        }
        writer.flush()?;
        Ok(self.file.sync_data()?)
    }

    fn settle(&self) -> Outcome<()> {
        Ok(())
    }

    fn commit(&self, row: &Row) -> Outcome<()> {
        let mut places = self.places();
        (&self.file).write_all(&entry(row))?;
        self.file.sync_data()?;
        let index = places.len();
        places.insert(row.key, place(index));
        Ok(())
    }

    fn get_each(&self, keys: impl Iterator<Item = u64>, mut seen: impl FnMut(&[u8])) -> Outcome<()> {
        let places = self.places();
        let mut value = [0; VALUE_BYTES];
        for key in keys {
            let Some(place) = places.get(&key) else { return missing(key) };
            self.file.read_exact_at(&mut value, *place)?;
            seen(&value);
        }
        Ok(())
    }

    fn close(self) -> Outcome<()> {
        Ok(())
    }
}

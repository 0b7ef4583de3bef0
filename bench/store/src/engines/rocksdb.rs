//! RocksDB: an LSM tree.
//!
//! LZ4, and a Bloom filter of 10 bits a key. In order, a load writes one sorted file and ingests it; at random, it writes
//! batches of 1,000 rows past the log and flushes at the end, after which they are as durable. A commit is a put with
//! `sync`; committers at the same time share the sync of their group. Index and filters are outside of the block cache, as
//! they are by default.

use crate::cell::Outcome;
use crate::kv::{KvEngine, Order, Row, missing};
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, IngestExternalFileOptions, Options, SstFileWriter,
    WriteBatch, WriteOptions,
};
use std::path::{Path, PathBuf};

/// Rows of a batch.
const BATCH_ROWS_COUNT: usize = 1_000;

/// A database, where it is, and how it is set up.
pub struct Rocks {
    database: DB,
    dir: PathBuf,
    options: Options,
}

impl KvEngine for Rocks {
    fn open(dir: &Path, cache_bytes: usize) -> Outcome<Rocks> {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&Cache::new_lru_cache(cache_bytes));
        table.set_bloom_filter(10.0, false);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&table);
        options.set_compression_type(DBCompressionType::Lz4);
        let dir = dir.join("rows.rocksdb");
        Ok(Rocks { database: DB::open(&options, &dir)?, dir, options })
    }

    fn load(&self, rows: &[Row], order: Order) -> Outcome<()> {
        if order == Order::Ascending {
            let path = self.dir.join("ingested");
            let mut writer = SstFileWriter::create(&self.options);
            writer.open(&path)?;
            for row in rows {
                writer.put(row.key.to_be_bytes(), row.value)?;
            }
            writer.finish()?;
            let mut ingest = IngestExternalFileOptions::default();
            ingest.set_move_files(true);
            return Ok(self.database.ingest_external_file_opts(&ingest, vec![path])?);
        }
        let mut past_the_log = WriteOptions::default();
        past_the_log.disable_wal(true);
        for rows in rows.chunks(BATCH_ROWS_COUNT) {
            let mut batch = WriteBatch::default();
            for row in rows {
                batch.put(row.key.to_be_bytes(), row.value);
            }
            self.database.write_opt(batch, &past_the_log)?;
        }
        Ok(self.database.flush()?)
    }

    fn settle(&self) -> Outcome<()> {
        self.database.flush()?;
        self.database.compact_range(None::<&[u8]>, None::<&[u8]>);
        Ok(())
    }

    fn commit(&self, row: &Row) -> Outcome<()> {
        let mut durable = WriteOptions::default();
        durable.set_sync(true);
        Ok(self.database.put_opt(row.key.to_be_bytes(), row.value, &durable)?)
    }

    fn get_each(&self, keys: impl Iterator<Item = u64>, mut seen: impl FnMut(&[u8])) -> Outcome<()> {
        for key in keys {
            match self.database.get_pinned(key.to_be_bytes())? {
                Some(value) => seen(&value),
                None => return missing(key),
            }
        }
        Ok(())
    }

    fn close(self) -> Outcome<()> {
        self.database.cancel_all_background_work(true);
        Ok(())
    }
}

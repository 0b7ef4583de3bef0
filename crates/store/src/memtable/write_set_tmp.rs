use super::*;
pub(crate) struct WriteSet {
    m: Memtables,
    budget: Budget,
}
impl std::fmt::Debug for WriteSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ws")
    }
}
impl WriteSet {
    pub(crate) fn new(b: &Budget) -> Result<WriteSet, AllocError> {
        Ok(WriteSet { m: Memtables::new(b, 0)?, budget: b.clone() })
    }
    #[allow(unsafe_code)]
    pub(crate) fn read(&self) -> Memtable<'_> {
        unsafe { Memtable::new(&self.m.sides[(self.m.buffer.epoch() & 1) as usize]) }
    }
    pub(crate) fn figures(&self) -> Figures {
        self.read().figures()
    }
    pub(crate) fn reserve(&self, t: usize, e: usize, b: usize) -> Result<(), AllocError> {
        self.m.writer().unwrap().reserve(t, e, b)
    }
    pub(crate) fn insert(
        &self,
        t: TableId,
        k: &[u8],
        s: u64,
        kind: EntryKind,
        r: &[u8],
    ) -> Result<(), AllocError> {
        self.m.writer().unwrap().insert(t, k, s, kind, r)
    }
    pub(crate) fn discard_after(&mut self, s: u64) {
        let new = WriteSet::new(&self.budget).unwrap();
        {
            let mut c = self.read().cursor();
            c.seek_first();
            while let Some(e) = c.entry() {
                if e.sequence <= s {
                    new.insert(e.table, e.key, e.sequence, e.kind, e.row).unwrap();
                }
                c.next();
            }
        }
        *self = new;
    }
    pub(crate) fn reset(&mut self) {
        self.m.swap().unwrap();
        self.m.mark_flushed().unwrap();
        self.m.reset_sealed(0).unwrap();
    }
}

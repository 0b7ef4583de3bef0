//! Control of transactions.

use cofferdam_sql::views::forms::{
    Begin, Commit, FormRef, Release, Rollback, RollbackTo, Savepoint, TransactionMode,
};

use crate::error::Error;
use crate::table::TransactionStatement;

/// What a statement asks of the transaction; `None` for a statement of another kind.
///
/// Transactions see a snapshot, which is more than READ COMMITTED asks for and what REPEATABLE READ means.
///
/// # Errors
/// 0A000 for SERIALIZABLE and AND CHAIN.
pub(crate) fn bind<'a, 'q: 'a>(form: FormRef<'q>) -> Result<Option<TransactionStatement<'a>>, Error<'a>> {
    let node = form.node();
    let chained = |chain: bool, no: bool| match chain && !no {
        true => Err(Error::NotSupported { what: "AND CHAIN", span: form.span() }),
        false => Ok(()),
    };
    if let Some(begin) = Begin::of(node) {
        return begin_of(begin).map(Some);
    }
    if let Some(commit) = Commit::of(node) {
        return chained(commit.chain(), commit.no()).map(|()| Some(TransactionStatement::Commit));
    }
    if let Some(rollback) = Rollback::of(node) {
        return chained(rollback.chain(), rollback.no()).map(|()| Some(TransactionStatement::Rollback));
    }
    let to = RollbackTo::of(node).and_then(RollbackTo::savepoint).map(TransactionStatement::RollbackTo);
    let savepoint = Savepoint::of(node).and_then(Savepoint::savepoint).map(TransactionStatement::Savepoint);
    let release = Release::of(node).and_then(Release::savepoint).map(TransactionStatement::Release);
    Ok(to.or(savepoint).or(release))
}

fn begin_of<'a, 'q: 'a>(begin: Begin<'q>) -> Result<TransactionStatement<'a>, Error<'a>> {
    let mut read_only = false;
    for mode in begin.modes() {
        if mode.isolation() && mode.serializable() {
            return Err(Error::NotSupported { what: "ISOLATION LEVEL SERIALIZABLE", span: span_of(mode) });
        }
        // Of several the last counts, as in PostgreSQL. DEFERRABLE means something with SERIALIZABLE only.
        if mode.read_only() || mode.read_write() {
            read_only = mode.read_only();
        }
    }
    Ok(TransactionStatement::Begin { read_only })
}

fn span_of(mode: TransactionMode<'_>) -> crate::Span {
    mode.form().span()
}

//! What clients did and what they were told.

use std::collections::BTreeMap;

use thalweg_core::record_batch::ControlKind;

/// A group, and a partition that it reads.
pub(super) type Key = (usize, i32);

/// A transaction as its client sees it.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// Values appended, and whether that was acknowledged.
    pub(super) records: BTreeMap<i64, bool>,
    /// The end that was asked for.
    pub(super) asked: Option<ControlKind>,
    /// The end that is known: acknowledged, or seen in the log.
    pub(super) ended: Option<ControlKind>,
}

/// A commit of an offset.
#[derive(Debug)]
pub(super) struct Write {
    /// The offset, another one each time.
    pub(super) value: i64,
    /// The transaction that it is part of.
    pub(super) transaction: Option<usize>,
    pub(super) acknowledged: bool,
    /// It was not there after a crash.
    pub(super) lost: bool,
}

/// Everything so far.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) transactions: Vec<Transaction>,
    /// Commits of offsets, in the order in which they came to the log.
    pub(super) writes: BTreeMap<Key, Vec<Write>>,
    last_value: i64,
}

/// Whether a commit of an offset counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Counts {
    Always,
    Perhaps,
    Never,
}

impl History {
    /// A value that was not there before.
    pub(super) fn fresh(&mut self) -> i64 {
        self.last_value += 1;
        self.last_value
    }

    pub(super) fn wrote(&mut self, key: Key, value: i64, transaction: Option<usize>) {
        let write = Write { value, transaction, acknowledged: false, lost: false };
        self.writes.entry(key).or_default().push(write);
    }

    /// The commit of this value was acknowledged.
    pub(super) fn acknowledge(&mut self, key: Key, value: i64) {
        let writes = self.writes.entry(key).or_default();
        let write = writes.iter_mut().find(|write| write.value == value);
        write.expect("it was written").acknowledged = true;
    }

    pub(super) fn counts(&self, write: &Write) -> Counts {
        let Some(number) = write.transaction else {
            return match (write.lost, write.acknowledged) {
                (true, _) => Counts::Never,
                (false, true) => Counts::Always,
                (false, false) => Counts::Perhaps,
            };
        };
        let Transaction { asked, ended, .. } = self.transactions[number];
        match (ended, asked) {
            (Some(ControlKind::Commit), _) => Counts::Always,
            (None, Some(ControlKind::Commit)) => Counts::Perhaps,
            _ => Counts::Never,
        }
    }

    /// Takes in how a transaction ended: what it ended as before, it stays.
    pub(super) fn ended(&mut self, number: usize, outcome: ControlKind) {
        let transaction = &mut self.transactions[number];
        let before = *transaction.ended.get_or_insert(outcome);
        assert_eq!(before, outcome, "transaction {number} has changed its end: {transaction:?}");
        let committed = outcome == ControlKind::Commit;
        let asked = transaction.asked == Some(ControlKind::Commit);
        assert!(asked || !committed, "nobody asked for {number} to commit: {transaction:?}");
    }
}

//! Accounts: on whose behalf bytes are stored, by number, and how many were stored for each.

/// Which of those that a transaction stores for bytes are counted on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account(pub usize);

/// Bytes that were stored for each account.
#[derive(Debug, Clone, Default)]
pub(super) struct AccountBytes(Vec<u64>);

impl AccountBytes {
    pub(super) fn add(&mut self, Account(number): Account, bytes: u64) {
        self.0.resize(self.0.len().max(number + 1), 0);
        if let Some(sum) = self.0.get_mut(number) {
            *sum += bytes;
        }
    }

    pub(super) fn add_all(&mut self, others: Self) {
        others.0.into_iter().enumerate().for_each(|(number, bytes)| self.add(Account(number), bytes));
    }

    /// The sums in the order of the numbers of the accounts.
    pub(super) fn into_sums(self) -> Vec<u64> {
        self.0
    }
}

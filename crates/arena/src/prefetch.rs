//! Tells the processor which memory will be read soon.
//!
//! A look into a table that is larger than the caches waits for memory, some hundred cycles, and a loop that decides by what it finds
//! waits once a row: the processor cannot guess far enough ahead to have several reads under way. A loop before it that only names the
//! places has all of them under way at once.
//!
//! **Source**: S. Chen, A. Ailamaki, P. Gibbons, T. Mowry, *Improving Hash Join Performance through Prefetching*, 2004, section 4.

/// Has the line of memory that a value begins in brought near. Changes nothing but how long the next read takes; where processors cannot
/// be told, it does nothing.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction is part of every x86-64 (SSE), and it is a hint: it gives no value, writes none, and no address makes
        // it fail.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(value).cast::<i8>()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Aim: whatever is named keeps its value, values without bytes and at the end of a list too.
    #[test]
    fn nothing_changes() {
        let numbers = [7u64; 100];
        numbers.iter().for_each(prefetch);
        prefetch(&());
        assert_eq!(numbers, [7; 100]);
    }
}

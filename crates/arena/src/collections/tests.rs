//! Growth, failure, and panics in foreign code.

extern crate std;
use super::*;
use crate::{Arena, Budget};
use std::string::ToString;

const KIB: u64 = 1024;

fn budget(limit: u64) -> Budget {
    Budget::root("process", limit + 8 * KIB).unwrap().child("test", limit).unwrap()
}

#[test]
fn a_vector_that_is_the_latest_allocation_grows_in_place() {
    let budget = budget(1024 * KIB);
    let arena = Arena::with_growth(&budget, crate::Growth::CHAIN);
    let mut numbers = Vec::new_in(&arena);
    numbers.push(0u64).unwrap();
    let first = numbers.as_ptr();
    for number in 1..3000 {
        numbers.push(number).unwrap();
    }
    assert_eq!(numbers.as_ptr(), first);
    let slice = numbers.into_slice();
    assert_eq!(arena.stats().used_bytes, 24_000, "unused capacity went back");
    assert!(slice.iter().copied().eq(0..3000));
}

#[test]
fn vectors_that_grow_side_by_side_stay_apart() {
    let budget = budget(4096 * KIB);
    let arena = Arena::new(&budget);
    let (mut odd, mut even) = (Vec::new_in(&arena), Vec::new_in(&arena));
    let count = if cfg!(miri) { 2000 } else { 10_000 };
    for number in 0..count {
        if number % 2 == 0 { even.push(number).unwrap() } else { odd.push(number).unwrap() }
    }
    assert!(odd.iter().all(|n| n % 2 == 1) && even.iter().all(|n| n % 2 == 0));
    assert_eq!((odd.len() as u32, even.len() as u32), (count / 2, count / 2));
}

#[test]
fn a_refused_growth_changes_nothing() {
    let budget = budget(if cfg!(miri) { 6 * KIB } else { 20 * KIB });
    let arena = Arena::new(&budget);
    let mut numbers = Vec::new_in(&arena);
    let refused = loop {
        if let Err(error) = numbers.push(numbers.len()) {
            break error;
        }
    };
    assert_eq!(refused, crate::AllocError);
    assert!(numbers.iter().enumerate().all(|(i, n)| i == *n) && numbers.len() > 100);
    let len = numbers.len();
    assert!(numbers.extend_from_slice(&std::vec![7; 4000]).is_err());
    assert!(numbers.resize(9000, 1).is_err());
    assert!(numbers.reserve(usize::MAX / 2).is_err());
    assert_eq!(budget.last_refusal().unwrap().reason(), crate::Reason::TooLarge);
    assert_eq!(numbers.len(), len);
    let mut map = Map::new_in(&arena);
    let refused_at = (0..10_000u32).find(|&key| map.insert(key, key).is_err()).unwrap();
    assert_eq!(map.len(), refused_at as usize);
    assert!((0..refused_at).all(|key| map.get(&key) == Some(&key)));
    assert!(map.insert(0, 7).is_ok(), "a key that is there needs no room");
    assert!(map.reserve(usize::MAX).is_err());
}

/// `reserve` counts from the length, not from the capacity: after it, so many pushes need nothing more.
#[test]
fn reserve_counts_from_the_length() {
    let budget = budget(1024 * KIB);
    let arena = Arena::new(&budget);
    let mut numbers = Vec::with_capacity_in(100, &arena).unwrap();
    numbers.extend(0..10u8).unwrap();
    numbers.reserve(100).unwrap();
    assert!(numbers.capacity() >= 110);
    let place = numbers.as_ptr();
    for _ in 0..100 {
        numbers.push(1).unwrap();
    }
    assert_eq!(numbers.as_ptr(), place);
    let mut more = Vec::<u8>::with_capacity_in(100, &arena).unwrap();
    more.reserve(50).unwrap();
    assert_eq!(more.capacity(), 100);
}

#[test]
fn elements_are_dropped_once_even_when_a_closure_panics() {
    use core::cell::Cell;
    struct Count<'c>(&'c Cell<u32>, u32);
    impl Drop for Count<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let drops = Cell::new(0);
    let budget = budget(64 * KIB);
    let arena = Arena::new(&budget);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut counts = Vec::new_in(&arena);
        for number in 0..10 {
            counts.push(Count(&drops, number)).unwrap();
        }
        counts.retain(|count| if count.1 == 5 { panic!("no") } else { count.1 % 2 == 0 });
    }));
    assert!(caught.is_err());
    assert_eq!(drops.get(), 10);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        arena.alloc_slice_fill_with(10, |i| if i == 5 { panic!("no") } else { i }).unwrap();
    }));
    assert!(caught.is_err());
    assert_eq!(*arena.alloc(3).unwrap(), 3, "the arena goes on");
}

/// Aim: zeros stand behind what was there, wherever the length goes, also in room that held something else.
#[test]
fn bytes_are_filled_with_zeros() {
    let budget = budget(4 * KIB);
    let arena = Arena::new(&budget);
    let mut bytes = Vec::new_in(&arena);
    bytes.resize_zeroed(0).unwrap();
    assert_eq!(bytes.capacity(), 0);
    bytes.extend_from_slice(&[7; 9]).unwrap();
    bytes.resize_zeroed(2).unwrap();
    bytes.resize_zeroed(100).unwrap();
    assert_eq!((&bytes[..2], &bytes[2..]), (&[7, 7][..], &[0; 98][..]));
    assert!(bytes.resize_zeroed(5000).is_err() && bytes.resize_zeroed(usize::MAX).is_err());
    assert_eq!((bytes.len(), bytes[1]), (100, 7));
}

#[test]
fn the_rest_of_the_vector_works() {
    let budget = budget(64 * KIB);
    let arena = Arena::new(&budget);
    let mut letters = Vec::new_in(&arena);
    letters.extend("abcdef".chars()).unwrap();
    letters.insert(1, 'x').unwrap();
    assert_eq!(letters.remove(0), 'a');
    assert_eq!(letters.swap_remove(0), 'x');
    letters.retain(|letter| *letter != 'd');
    letters.resize(6, 'z').unwrap();
    letters.truncate(5);
    assert_eq!(letters.pop(), Some('z'));
    assert_eq!(std::format!("{letters:?}"), "['f', 'b', 'c', 'e']");
    for letter in &mut letters {
        letter.make_ascii_uppercase();
    }
    assert!((&letters).into_iter().eq(&['F', 'B', 'C', 'E']));
    assert!(letters.into_iter().eq("FBCE".chars()));
}

#[test]
fn text_grows_and_is_cut_at_characters() {
    use core::fmt::Write;
    let budget = budget(4 * KIB);
    let arena = Arena::new(&budget);
    let mut text = String::new_in(&arena);
    write!(text, "{}+{}", 1, 2).unwrap();
    text.push('ß').unwrap();
    text.push_str("tail").unwrap();
    text.truncate(5);
    assert_eq!(text.as_str(), "1+2ß");
    assert!(text.push_str(&"x".repeat(5000)).is_err());
    assert_eq!(text.as_str(), "1+2ß");
    assert_eq!(text.to_string(), text.as_str());
    assert!(write!(text, "{:5000}", 1).is_err(), "what was written before the refusal stays");
    assert!(text.into_str().starts_with("1+2ß "));
}

#[test]
fn map_and_set_follow_the_standard_ones() {
    let budget = budget(1024 * KIB);
    let arena = Arena::new(&budget);
    let mut map = Map::new_in(&arena);
    let mut set = Set::new_in(&arena);
    let mut model = std::collections::HashMap::new();
    let mut state = 7u32;
    let (rounds, keys) = if cfg!(miri) { (250, 40) } else { (5000, 500) };
    for _ in 0..rounds {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        let key = (state >> 20) % keys;
        match state % 4 {
            0 => assert_eq!(map.remove(&key), {
                set.remove(&key);
                model.remove(&key)
            }),
            1 => {
                *map.get_or_insert_with(key, || 1).unwrap() += 1;
                *model.entry(key).or_insert(1) += 1;
                set.insert(key).unwrap();
            }
            _ => {
                assert_eq!(set.insert(key).unwrap(), !model.contains_key(&key));
                assert_eq!(map.insert(key, state).unwrap(), model.insert(key, state));
            }
        }
    }
    assert_eq!((map.len(), set.len()), (model.len(), model.len()));
    assert!(model.iter().all(|(key, value)| map.get(key) == Some(value) && set.contains(key)));
    assert!(set.iter().all(|key| map.contains_key(key)));
    for (_, value) in map.iter_mut() {
        *value = 0;
    }
    assert!(map.iter().all(|(_, value)| *value == 0));
    map.clear();
    set.clear();
    assert!(map.is_empty() && set.is_empty());
}

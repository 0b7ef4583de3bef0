//! Who has a database open, for people who want to open it too.
//!
//! Linux lists the locks on files with the numbers of the processes that hold them and the numbers of the files:
//!
//! ```text
//! 7: FLOCK  ADVISORY  WRITE 4711 fe:00:10078346 0 EOF
//!                           │    └─ device (major and minor number, hexadecimal) and file
//!                           └─ process; 0 for one that this system's part does not show
//! ```
//!
//! Elsewhere, and where the list says nothing, nobody is named.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The file that is locked.
const LOCK: &str = "lock";

/// What would help with the database in a directory that somebody has open, where it is known who.
pub(crate) fn holder(directory: &Path) -> Option<String> {
    let lock = fs::metadata(directory.join(LOCK)).ok()?;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let process = process_in(&locks, lock.dev(), lock.ino())?;
    let program = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    let program = program.trim();
    Some(format!("process {process} ({program}) has it open; try again when that has closed it"))
}

/// The process that has locked a file, from the system's list.
fn process_in(locks: &str, device: u64, file: u64) -> Option<u32> {
    let place = format!("{:02x}:{:02x}:{file}", major(device), minor(device));
    let line = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut process = line.filter_map(|words| match words[..] {
        [_, "FLOCK", _, "WRITE", process, at, ..] if at == place => process.parse().ok(),
        _ => None,
    });
    process.find(|process| *process > 0)
}

/// As glibc takes device numbers apart.
fn major(device: u64) -> u64 {
    (device >> 32 & 0xffff_f000) | (device >> 8 & 0xfff)
}

fn minor(device: u64) -> u64 {
    (device >> 12 & 0xffff_ff00) | (device & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_with_the_lock_is_found() {
        let locks = "1: FLOCK  ADVISORY  READ 7804 fe:00:10133510 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 12 fe:00:10078346 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 8603 fe:00:10078346 0 EOF\n\
                     4: -> FLOCK  ADVISORY  WRITE 9 fe:00:10078346 0 EOF\n\
                     5: FLOCK  ADVISORY  WRITE 0 fe:01:7 0 EOF\n";
        assert_eq!(process_in(locks, 0xfe00, 10_078_346), Some(8603));
        assert_eq!(process_in(locks, 0xfe00, 10_133_510), None, "who reads does not keep others out");
        assert_eq!(process_in(locks, 0xfe01, 7), None);
        assert_eq!(process_in("", 0xfe01, 7), None);
    }
}

//! Where the demo's files go: the directory that was asked for, or a temporary one on a disk.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::{env, fs, io, process};

use crate::complain;

/// Nobody else may look into a temporary directory.
const OWN: u32 = 0o700;

/// A directory for files; a temporary one goes when this value does.
pub(super) struct Directory {
    path: PathBuf,
    is_temporary: bool,
}

impl Directory {
    /// The directory `asked`, which is created and kept, or a new temporary one, which is kept if `keep` says so.
    ///
    /// # Errors
    /// It cannot be created.
    pub(super) fn new(asked: Option<&Path>, keep: bool) -> io::Result<Directory> {
        let path = match asked {
            Some(path) => path.to_owned(),
            None => parent().join(format!("cofferdam-demo-{}", process::id())),
        };
        let created = match asked {
            Some(path) => fs::create_dir_all(path),
            // What is there already is somebody else's, who would not want it to be written to and removed.
            None => DirBuilder::new().mode(OWN).create(&path),
        };
        created.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok(Directory { path, is_temporary: asked.is_none() && !keep })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.is_temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            complain(format_args!("warning: {} is left behind: {error}", self.path.display()));
        }
    }
}

/// The first usable place for large temporary files that is not in memory; if all are, the first usable one.
fn parent() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut places: Vec<PathBuf> = env::var_os("TMPDIR").map(PathBuf::from).into_iter().collect();
    places.extend(["/var/tmp", "/tmp"].map(PathBuf::from));
    places.extend(env::current_dir());
    places.retain(|place| {
        fs::metadata(place).is_ok_and(|data| data.is_dir() && !data.permissions().readonly())
    });
    let on_disk = places.iter().find(|place| !is_in_memory(place, &mounts)).cloned();
    on_disk.or(places.into_iter().next()).unwrap_or_else(env::temp_dir)
}

/// Whether the file system that holds `place` is kept in memory.
fn is_in_memory(place: &Path, mounts: &str) -> bool {
    let place = place.canonicalize().unwrap_or_else(|_| place.to_owned());
    let holding = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (Path::new(fields.next()?), fields.next()?);
        place.starts_with(point).then_some((point.as_os_str().len(), kind))
    });
    // Later mounts cover earlier ones at the same place, and of equals the last is taken.
    holding.max_by_key(|&(length, _)| length).is_some_and(|(_, kind)| matches!(kind, "tmpfs" | "ramfs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_decides() {
        let mounts =
            "/dev/vda / ext4 rw 0 0\ntmpfs /nowhere tmpfs rw 0 0\n/dev/vdb /nowhere/disk xfs rw 0 0\n";
        assert!(!is_in_memory(Path::new("/other"), mounts));
        assert!(is_in_memory(Path::new("/nowhere/tmp"), mounts));
        assert!(!is_in_memory(Path::new("/nowhere/disk/tmp"), mounts));
        assert!(!is_in_memory(Path::new("/nowhereelse"), mounts));
        assert!(!is_in_memory(Path::new("/other"), ""));
    }

    #[test]
    fn a_temporary_directory_goes_and_one_that_was_asked_for_stays() {
        let temporary = Directory::new(None, false).unwrap();
        let path = temporary.path().to_owned();
        fs::write(path.join("file"), "x").unwrap();
        drop(temporary);
        assert!(!path.exists());
        let asked = Directory::new(Some(&path), false).unwrap();
        drop(asked);
        assert!(path.exists());
        fs::remove_dir(path).unwrap();
    }
}

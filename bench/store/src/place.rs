//! Where the data is: a directory on a disk, with room.

use crate::cell::Outcome;
use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Room that a run at scale 1 may take.
const BYTES_NEEDED: f64 = 3e9;

/// The directory for data: `dir`, or `bench-store` in the target directory that this program was built in.
///
/// # Errors
/// It cannot be made, has too little room for `scale`, or is not on a disk, unless nothing is measured anyway.
pub fn prepare(dir: Option<&Path>, scale: f64, is_quick: bool) -> Outcome<PathBuf> {
    let dir = match dir {
        Some(dir) => dir.to_owned(),
        None => {
            let program = std::env::current_exe()?;
            let target = program.parent().and_then(Path::parent).ok_or("the program is in no directory")?;
            target.join("bench-store")
        }
    };
    std::fs::create_dir_all(&dir)?;
    let dir = dir.canonicalize()?;
    let system = statfs(&dir)?;
    let name = system_name(system.f_type);
    let free_bytes = system.f_bavail as f64 * system.f_bsize as f64;
    println!("data in {} ({name}, {:.0} GB free)", dir.display(), free_bytes / 1e9);
    if !is_quick && (name == "tmpfs" || name == "ramfs") {
        return Err(format!("{} is {name}, which has no disk: name another with --dir", dir.display()).into());
    }
    if free_bytes < BYTES_NEEDED * scale {
        return Err(format!("{:.1} GB of room are needed", BYTES_NEEDED * scale / 1e9).into());
    }
    Ok(dir)
}

fn statfs(path: &Path) -> Outcome<libc::statfs> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `statfs` is plain integers, for which all zeroes are a value.
    let mut system: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` ends in a NUL byte and `system` is live and exclusively borrowed.
    if unsafe { libc::statfs(path.as_ptr(), &mut system) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(system)
}

fn system_name(magic: libc::__fsword_t) -> String {
    let name = match magic {
        libc::TMPFS_MAGIC => "tmpfs",
        0x8584_58F6 => "ramfs",
        libc::EXT4_SUPER_MAGIC => "ext4",
        libc::BTRFS_SUPER_MAGIC => "btrfs",
        libc::XFS_SUPER_MAGIC => "xfs",
        libc::OVERLAYFS_SUPER_MAGIC => "overlayfs",
        _ => return format!("file system {magic:#x}"),
    };
    name.to_owned()
}

/// The directory `data` in such a place, empty at first, for one run at a time; it is removed at the end.
#[derive(Debug)]
pub struct Data {
    path: PathBuf,
    /// Locked while the run lasts.
    _lock: File,
}

impl Data {
    /// Empties it.
    ///
    /// # Errors
    /// Another run has it, or the system's.
    pub fn new(place: &Path) -> Outcome<Data> {
        let lock = File::create(place.join("lock"))?;
        lock.try_lock()
            .map_err(|error| format!("another run has its data in {}: {error}", place.display()))?;
        let path = place.join("data");
        remove(&path)?;
        std::fs::create_dir(&path)?;
        Ok(Data { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An empty directory in it.
    ///
    /// # Errors
    /// The system's.
    pub fn fresh(&self, name: &str) -> Outcome<PathBuf> {
        let path = self.path.join(name);
        remove(&path)?;
        std::fs::create_dir(&path)?;
        Ok(path)
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            eprintln!("{} is left: {error}", self.path.display());
        }
    }
}

/// Removes a directory with all that is in it; it need not be there.
///
/// # Errors
/// The system's.
pub fn remove(path: &Path) -> Outcome<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_no_disk() {
        if Path::new("/dev/shm").is_dir() {
            let dir = PathBuf::from(format!("/dev/shm/bench-store-{}", std::process::id()));
            let answer = prepare(Some(&dir), 1e-9, false).map_err(|error| error.to_string());
            assert!(answer.is_err_and(|text| text.contains("has no disk")));
            assert!(prepare(Some(&dir), 1e-9, true).is_ok());
            remove(&dir).expect("it is there");
        }
    }

    /// Aim: two runs do not take each other's data away, and nothing is left. Method: a second run while the first lasts.
    #[test]
    fn data_belongs_to_one_run() {
        let place = std::env::temp_dir().join(format!("bench-store-place-{}", std::process::id()));
        std::fs::create_dir_all(&place).expect("a directory can be made");
        let data = Data::new(&place).expect("it is free");
        assert!(Data::new(&place).is_err());
        assert!(data.fresh("a").expect("it can be made").is_dir());
        let path = data.path().to_owned();
        drop(data);
        assert!(!path.exists());
        drop(Data::new(&place).expect("it is free again"));
        remove(&place).expect("it is there");
    }
}

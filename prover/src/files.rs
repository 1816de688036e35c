//! Files: bounded reads, writes that leave either the old file or the new one, and the cache folder with its locks.

mod output;

pub use output::{check_output, write_atomic, write_bytes};

use etcetera::BaseStrategy;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Environment variable that names the cache folder.
pub const CACHE_VARIABLE: &str = "INFERPROOF_CACHE";
/// Folder below the user's cache folder when [`CACHE_VARIABLE`] is unset.
const CACHE_FOLDER: &str = "inferproof";

/// What can go wrong with a file, with its path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Cannot be opened or read.
    #[error("cannot read {path}: {source}; {}", hint(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Cannot be written. What stood there before stands there still.
    #[error("cannot write {path}: {source}; {}", hint(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// No file can be made in the folder of an output.
    #[error(
        "cannot write {path}: no file can be made in the folder {folder}: {source}; {}",
        hint(source)
    )]
    NoFolder {
        /// The output.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// An output that is no regular file, or in use.
    #[error("cannot write {path}: it is {kind}; name a regular file, or one that does not exist yet")]
    Unfit {
        /// The output.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// An output that is one of the inputs.
    #[error("{path} is not overwritten, it is also the input {input}; name another output")]
    AlsoInput {
        /// The output.
        path: PathBuf,
        /// The input.
        input: PathBuf,
    },
    /// Larger than the reader allows.
    #[error("{path} has more than {max} bytes, the limit for this kind of file; is it the right file?")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        max: u64,
    },
    /// A folder cannot be made.
    #[error("cannot create the folder {path}: {source}; {}", hint(source))]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The cache folder cannot be made.
    #[error(
        "cannot create the cache folder {path}: {source}; set the environment variable {CACHE_VARIABLE} to a folder that can be written"
    )]
    CacheFolder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A lock cannot be taken.
    #[error(
        "cannot lock {path}: {source}; set the environment variable {CACHE_VARIABLE} to a folder on a local disk that can be written"
    )]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no home folder to put a cache in.
    #[error(
        "no home folder is known; set the environment variable {CACHE_VARIABLE} to the folder in which setup and keys are kept"
    )]
    NoCacheFolder,
    /// A cache entry's name holds something other than letters, digits, `.`, `-` and `_`.
    #[error("{name:?} cannot name a cache entry: letters, digits, '.', '-' and '_' only, and no leading '.'")]
    EntryName {
        /// The name.
        name: String,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => "check the permissions of the file and its folder",
        io::ErrorKind::IsADirectory => "a file is needed, this is a folder",
        io::ErrorKind::NotADirectory => "a part of the path is a file, not a folder",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space, or choose another disk"
        }
        io::ErrorKind::ReadOnlyFilesystem => "choose a folder that can be written",
        _ => "check the disk and the path",
    }
}

/// Opens a file for reading.
///
/// # Errors
/// [`FileError::Read`], also when the path is a folder.
pub fn open(path: &Path) -> Result<File, FileError> {
    let fail = |source| FileError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(fail)?;
    if file.metadata().map_err(fail)?.is_dir() {
        return Err(fail(io::ErrorKind::IsADirectory.into()));
    }
    Ok(file)
}

/// Reads a whole file of at most `max` bytes. Never holds more than `max + 1` bytes, also when the file grows
/// while it is read or has no length of its own (a pipe, a device).
///
/// # Errors
/// [`FileError::Read`] and [`FileError::TooLarge`].
pub fn read_limited(path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
    let fail = |source| FileError::Read {
        path: path.to_owned(),
        source,
    };
    let too_large = || FileError::TooLarge {
        path: path.to_owned(),
        max,
    };
    let file = open(path)?;
    let length = file.metadata().map_err(fail)?.len();
    if length > max {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    bytes
        .try_reserve(usize::try_from(length).map_err(|_| too_large())?)
        .map_err(|e| fail(e.into()))?;
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(fail)?;
    if u64::try_from(bytes.len()).is_ok_and(|n| n <= max) {
        Ok(bytes)
    } else {
        Err(too_large())
    }
}

/// A folder of files that can be made again: setups and keys. What has been written can be read without a lock, and so in
/// a folder that cannot be written too.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
    on_damage: fn(&Path),
}

impl Cache {
    /// The cache of this user: `$INFERPROOF_CACHE`, else `inferproof` in the user's cache folder
    /// (`$XDG_CACHE_HOME`, `~/.cache`, or what the system has for it). The folder is made.
    ///
    /// # Errors
    /// [`FileError::NoCacheFolder`] and [`FileError::CacheFolder`].
    pub fn open_default() -> Result<Self, FileError> {
        if let Some(folder) = std::env::var_os(CACHE_VARIABLE).filter(|folder| !folder.is_empty()) {
            return Self::open_at(Path::new(&folder));
        }
        let strategy = etcetera::choose_base_strategy().map_err(|_| FileError::NoCacheFolder)?;
        Self::open_at(&strategy.cache_dir().join(CACHE_FOLDER))
    }

    /// The cache in this folder, which is made.
    ///
    /// # Errors
    /// [`FileError::CacheFolder`].
    pub fn open_at(folder: &Path) -> Result<Self, FileError> {
        let fail = |source| FileError::CacheFolder {
            path: folder.to_owned(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(fail)?;
        Ok(Self {
            folder: folder.to_owned(),
            on_damage: |_| {},
        })
    }

    /// Calls `notice` with the path of an entry that is there and cannot be used, before it is made again.
    #[must_use]
    pub fn on_damage(self, notice: fn(&Path)) -> Self {
        Self {
            on_damage: notice,
            ..self
        }
    }

    /// Takes the entry `name` by `load`, or makes it. Two runs at once make it once.
    ///
    /// # Errors
    /// [`FileError::EntryName`], [`FileError::Lock`], and those of `make`.
    pub(crate) fn take_or_make<T, E: From<FileError>>(
        &self,
        name: &str,
        load: impl Fn(&Path) -> Option<T>,
        make: impl FnOnce(&Path) -> Result<T, E>,
    ) -> Result<T, E> {
        let path = self.entry(name)?;
        if let Some(entry) = load(&path) {
            return Ok(entry);
        }
        let _lock = self.lock(name)?;
        if let Some(entry) = load(&path) {
            return Ok(entry);
        }
        if path.symlink_metadata().is_ok() {
            (self.on_damage)(&path);
        }
        make(&path)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Path of the entry `name`, which may not exist.
    ///
    /// # Errors
    /// [`FileError::EntryName`]: a name that could leave the folder.
    pub fn entry(&self, name: &str) -> Result<PathBuf, FileError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if name.is_empty() || name.len() > 128 || name.starts_with('.') || !name.bytes().all(plain) {
            return Err(FileError::EntryName {
                name: name.to_owned(),
            });
        }
        Ok(self.folder.join(name))
    }

    /// Waits until no other process (or thread) holds the lock of the entry `name`, and takes it.
    /// Released when the guard is dropped or the process ends.
    ///
    /// # Errors
    /// [`FileError::EntryName`] and [`FileError::Lock`].
    pub fn lock(&self, name: &str) -> Result<CacheLock, FileError> {
        let mut path = self.entry(name)?.into_os_string();
        path.push(".lock");
        let path = PathBuf::from(path);
        let locked = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .and_then(|file| {
                file.lock()?;
                Ok(file)
            });
        match locked {
            Ok(file) => Ok(CacheLock { _file: file }),
            Err(source) => Err(FileError::Lock { path, source }),
        }
    }
}

/// Held while a cache entry is made; see [`Cache::lock`]. The lock file stays: removing it would let two runs
/// hold locks on two files of one name.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct CacheLock {
    _file: File,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn reads_up_to_the_limit_and_not_beyond() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_bytes(&path, b"12345").unwrap();
        assert_eq!(read_limited(&path, 5).unwrap(), b"12345");
        assert!(matches!(
            read_limited(&path, 4),
            Err(FileError::TooLarge { max: 4, .. })
        ));
        assert!(matches!(
            read_limited(folder.path(), 4),
            Err(FileError::Read { .. })
        ));
        let absent = read_limited(&folder.path().join("b"), 4).unwrap_err();
        assert!(absent.to_string().contains("check the path"), "{absent}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn reads_of_endless_devices_are_bounded() {
        let read = read_limited(Path::new("/dev/zero"), 1000);
        assert!(matches!(read, Err(FileError::TooLarge { .. })));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn full_disk_is_an_error_with_a_hint() {
        // The device accepts a write of no file: it stands for a disk that is full.
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = (&full).write_all(b"x").unwrap_err();
        let error = FileError::Write {
            path: "/dev/full".into(),
            source: error,
        };
        assert!(error.to_string().contains("free some space"), "{error}");
    }

    #[test]
    fn entry_names_stay_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open_at(&folder.path().join("x/y")).unwrap();
        assert_eq!(
            cache.entry("srs-5.bin").unwrap(),
            folder.path().join("x/y/srs-5.bin")
        );
        for name in ["", "..", "../a", "a/b", "a\\b", ".a", "a\0", &"a".repeat(129)] {
            assert!(
                matches!(cache.entry(name), Err(FileError::EntryName { .. })),
                "{name:?}"
            );
            assert!(cache.lock(name).is_err());
        }
    }

    #[test]
    fn one_maker_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open_at(folder.path()).unwrap();
        let path = cache.entry("e").unwrap();
        let made = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _lock = cache.lock("e").unwrap();
                    if !path.exists() {
                        made.fetch_add(1, Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(20));
                        write_bytes(&path, b"entry").unwrap();
                    }
                });
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }
}

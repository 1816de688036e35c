//! Where output goes. Symbolic links are followed, only regular files are replaced, each whole or not at all, and a
//! file that is replaced keeps its permissions and, where the system allows it, its owner.

use super::FileError;
use std::fs::{File, Metadata};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Name of a file that is being written; a run that was killed leaves one behind.
const TEMPORARY_PREFIX: &str = ".inferproof-";
/// Most links that lead to a file which does not exist yet.
const MAX_LINKS: usize = 40;
/// Permission bits that a replaced file hands on: those for user, group and others.
#[cfg(unix)]
const PERMISSIONS: u32 = 0o777;
/// Of these, those for the group.
#[cfg(unix)]
const GROUP: u32 = 0o070;

/// Writes a file whole or not at all: into a temporary file of the same folder, then flush, sync and rename.
/// When `fill` fails, the disk is full or the run is killed, what stood at `path` before stands there still. Other hard
/// links to a file that is replaced keep the old contents.
///
/// # Errors
/// As [`check_output`]; [`FileError::Write`] also with the error of `fill`.
pub fn write_atomic<F>(path: &Path, fill: F) -> Result<(), FileError>
where
    F: FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
{
    let target = Target::find(path)?;
    let temporary = target.temporary(path)?;
    target
        .replace(temporary, fill)
        .map_err(|source| failed(path, source))
}

/// [`write_atomic`] of bytes that are there already.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_atomic(path, |writer| writer.write_all(bytes))
}

/// Tests before the work whether [`write_atomic`] can write to `path`, and that this changes none of the `inputs`.
///
/// # Errors
/// [`FileError::Write`] and [`FileError::NoFolder`] when the system refuses; [`FileError::Unfit`] for a folder, a device, a pipe,
/// a socket, and the file that stdout or stderr goes to; [`FileError::AlsoInput`].
pub fn check_output(path: &Path, inputs: &[&Path]) -> Result<(), FileError> {
    let target = Target::find(path)?;
    if let Some(input) = inputs.iter().find(|input| same_file(&target.file, input)) {
        return Err(FileError::AlsoInput {
            path: path.to_owned(),
            input: (*input).to_owned(),
        });
    }
    target.temporary(path).map(drop)
}

fn failed(path: &Path, source: io::Error) -> FileError {
    FileError::Write {
        path: path.to_owned(),
        source,
    }
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A file that may be written.
struct Target {
    /// Its path without links.
    file: PathBuf,
    /// What stands there.
    old: Option<Metadata>,
}

impl Target {
    fn find(path: &Path) -> Result<Self, FileError> {
        let unfit = |kind| FileError::Unfit {
            path: path.to_owned(),
            kind,
        };
        let old = match std::fs::metadata(path) {
            Ok(old) => old,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
                    return Err(unfit("a folder"));
                }
                let file = follow(path).map_err(|source| failed(path, source))?;
                return Ok(Self { file, old: None });
            }
            Err(error) => return Err(failed(path, error)),
        };
        if old.is_dir() {
            return Err(unfit("a folder"));
        }
        if !old.is_file() {
            return Err(unfit("a device, a pipe or a socket"));
        }
        if is_own_stream(&old) {
            return Err(unfit("where this program's messages go"));
        }
        let file = path.canonicalize().map_err(|source| failed(path, source))?;
        let writable = File::options().write(true).open(&file);
        writable.map_err(|source| failed(path, source))?;
        Ok(Self { file, old: Some(old) })
    }

    /// An empty file in the same folder, which goes when it is dropped.
    fn temporary(&self, path: &Path) -> Result<NamedTempFile, FileError> {
        let folder = folder_of(&self.file);
        let no_folder = |source| FileError::NoFolder {
            path: path.to_owned(),
            folder: folder.to_owned(),
            source,
        };
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            let mode = if self.old.is_some() { 0o600 } else { 0o666 };
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY_PREFIX);
        let made = builder.make_in(folder, |name| options.open(name));
        made.map_err(no_folder)
    }

    fn replace<F>(&self, temporary: NamedTempFile, fill: F) -> io::Result<()>
    where
        F: FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
    {
        let mut writer = BufWriter::with_capacity(1 << 20, temporary.as_file());
        fill(&mut writer)?;
        writer.flush()?;
        drop(writer);
        if let Some(old) = &self.old {
            hand_on(old, temporary.as_file())?;
        }
        temporary.as_file().sync_all()?;
        temporary.persist(&self.file).map_err(|e| e.error)?;
        // A folder cannot be opened for syncing everywhere; the rename itself is done.
        if let Ok(folder) = File::open(folder_of(&self.file)) {
            drop(folder.sync_all());
        }
        Ok(())
    }
}

/// The end of a chain of links, where nothing stands.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut file = path.to_owned();
    for _ in 0..MAX_LINKS {
        match std::fs::read_link(&file) {
            Ok(link) => file = folder_of(&file).join(link),
            Err(_) => return Ok(file),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Gives a new file the owner and the permissions of the one that it replaces. An owner that this user may not set
/// stays.
#[cfg(unix)]
fn hand_on(old: &Metadata, new: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let found = new.metadata()?;
    let mut mode = old.mode() & PERMISSIONS;
    if (found.uid(), found.gid()) != (old.uid(), old.gid()) {
        let group = || fchown(new, None, Some(old.gid()));
        if fchown(new, Some(old.uid()), Some(old.gid())).is_err() && group().is_err() {
            // What the old group was allowed is not for another one.
            mode &= !GROUP;
        }
    }
    new.set_permissions(PermissionsExt::from_mode(mode))
}

#[cfg(not(unix))]
fn hand_on(old: &Metadata, new: &File) -> io::Result<()> {
    new.set_permissions(old.permissions())
}

/// Whether both paths lead to one file, or would if it existed.
fn same_file(a: &Path, b: &Path) -> bool {
    same_existing_file(a, b) || resolved(a).is_some_and(|a| resolved(b) == Some(a))
}

/// The path without links, of a file that need not exist in a folder that does.
fn resolved(path: &Path) -> Option<PathBuf> {
    let new = || Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(new)
}

#[cfg(unix)]
fn same_existing_file(a: &Path, b: &Path) -> bool {
    let metadata = std::fs::metadata(a).and_then(|a| Ok((a, std::fs::metadata(b)?)));
    metadata.is_ok_and(|(a, b)| is_same(&a, &b))
}

#[cfg(not(unix))]
fn same_existing_file(_: &Path, _: &Path) -> bool {
    false
}

#[cfg(unix)]
fn is_same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Whether this is the file that stdout or stderr goes to.
#[cfg(unix)]
fn is_own_stream(file: &Metadata) -> bool {
    use std::os::fd::{AsFd, BorrowedFd};
    let is = |stream: BorrowedFd<'_>| {
        let owned = stream.try_clone_to_owned();
        let metadata = owned.and_then(|stream| File::from(stream).metadata());
        metadata.is_ok_and(|stream| is_same(&stream, file))
    };
    is(io::stdout().as_fd()) || is(io::stderr().as_fd())
}

#[cfg(not(unix))]
fn is_own_stream(_: &Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::super::read_limited;
    use super::*;

    #[test]
    fn failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_bytes(&path, b"old").unwrap();
        let failed = write_atomic(&path, |writer| {
            writer.write_all(b"new")?;
            Err(ErrorKind::StorageFull.into())
        });
        assert!(failed.unwrap_err().to_string().contains("free some space"));
        assert_eq!(read_limited(&path, 9).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        write_bytes(&path, b"new").unwrap();
        assert_eq!(read_limited(&path, 9).unwrap(), b"new");
    }

    #[test]
    fn what_cannot_be_written_is_refused_beforehand() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        check_output(&path, &[]).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        std::fs::write(&path, b"old").unwrap();
        check_output(&path, &[&folder.path().join("b")]).unwrap();
        let input = check_output(&path, &[&folder.path().join("./a")]);
        assert!(matches!(input, Err(FileError::AlsoInput { .. })));
        let unmade = check_output(&folder.path().join("d"), &[&folder.path().join("./d")]);
        assert!(matches!(unmade, Err(FileError::AlsoInput { .. })));
        for file in [folder.path(), &folder.path().join("c/")] {
            let refused = write_bytes(file, b"x");
            assert!(matches!(refused, Err(FileError::Unfit { kind: "a folder", .. })));
        }
        let missing = write_bytes(&folder.path().join("no/a"), b"x").unwrap_err();
        assert!(matches!(missing, FileError::NoFolder { .. }), "{missing}");
        assert!(!missing.to_string().contains(TEMPORARY_PREFIX), "{missing}");
        let below = write_bytes(&path.join("a"), b"x");
        assert!(matches!(below, Err(FileError::Write { .. })));
        assert_eq!(read_limited(&path, 9).unwrap(), b"old");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_permissions_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("sub")).unwrap();
        symlink("sub/link", at("link")).unwrap();
        symlink("file", at("sub/link")).unwrap();
        write_bytes(&at("link"), b"1").unwrap();
        assert_eq!(read_limited(&at("sub/file"), 9).unwrap(), b"1");
        std::fs::set_permissions(at("sub/file"), PermissionsExt::from_mode(0o640)).unwrap();
        write_bytes(&at("link"), b"2").unwrap();
        assert_eq!(read_limited(&at("sub/file"), 9).unwrap(), b"2");
        let mode = std::fs::metadata(at("sub/file")).unwrap().permissions().mode();
        assert_eq!(mode & PERMISSIONS, 0o640);
        assert!(at("link").is_symlink() && at("sub/link").is_symlink());
        assert!(matches!(
            check_output(&at("link"), &[&at("sub/file")]),
            Err(FileError::AlsoInput { .. })
        ));
        symlink("loop", at("loop")).unwrap();
        assert!(matches!(
            write_bytes(&at("loop"), b"x"),
            Err(FileError::Write { .. })
        ));
    }

    #[cfg(unix)]
    #[test]
    fn sockets_and_read_only_files_stay() {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt};
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(matches!(write_bytes(&socket, b"x"), Err(FileError::Unfit { .. })));
        assert!(std::fs::metadata(&socket).unwrap().file_type().is_socket());
        let path = folder.path().join("a");
        std::fs::write(&path, b"old").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o444)).unwrap();
        // The superuser may write to any file.
        if File::options().write(true).open(&path).is_err() {
            assert!(matches!(write_bytes(&path, b"new"), Err(FileError::Write { .. })));
        }
    }
}

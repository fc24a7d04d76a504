//! Files that are complete or absent: written beside their place, flushed to disk, then renamed
//! into it. What is not a regular file is written to instead: nothing replaces it.

use std::fs::{self, File, FileType, Permissions};
use std::io::{self, BufWriter, IntoInnerError, Seek};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::{Builder, NamedTempFile};

/// The path that stands for standard output; a file of this name is `./-`.
pub const STDOUT: &str = "-";

/// How long the writer of a FIFO waits for its reader.
const READER_WAIT: Duration = Duration::from_secs(10);
/// Pause between two looks for it.
const READER_POLL: Duration = Duration::from_millis(20);

/// Most links that a path may go through, as in Linux.
const MOST_LINKS: usize = 40;

/// Writes `path` with `fill`. Until all content is on disk, the file is absent or still the old
/// one, even after an error, a cancellation or a crash.
///
/// A link is followed, so it stays a link. A device or a FIFO is written to, once the content is
/// complete; [`STDOUT`] is standard output.
///
/// # Errors
///
/// The error of `fill`, or of the system; [`io::ErrorKind::IsADirectory`] for a folder, and
/// [`io::ErrorKind::TimedOut`] for a FIFO that nobody reads.
pub fn write_whole(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    if is_stdout(path) {
        return copy_to(&mut io::stdout().lock(), fill);
    }
    let path = follow(path)?;
    match own_descriptor(&path) {
        // Opened anew, it would have a position of its own, and overwrite what is there.
        Some(2) => return copy_to(&mut io::stderr().lock(), fill),
        Some(_) if path.is_file() => {
            return copy_to(&mut File::options().append(true).open(&path)?, fill);
        }
        _ => {}
    }
    match fs::metadata(&path).map(|metadata| metadata.file_type()) {
        Ok(kind) if kind.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(kind) if !kind.is_file() => copy_to(&mut open_special(&path, kind)?, fill),
        _ => replace(&path, fill),
    }
}

/// Returns whether a path stands for standard output: [`STDOUT`], or a link of the system to it
/// such as `/dev/stdout`.
#[must_use]
pub fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == STDOUT
        || follow(path).ok().and_then(|path| own_descriptor(&path)) == Some(1)
}

/// Follows links at the end of a path, up to one that leads to nothing yet. Links in its folders
/// need no following; those of the system to open files, such as `/proc/self/fd/1`, only look like
/// paths, and stay.
///
/// # Errors
///
/// The system's, or one that says that links form a loop.
pub fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::symlink_metadata(&path) {
            // What cannot be looked at is reported by whatever uses the path.
            Ok(metadata) if metadata.is_symlink() && !is_of_the_system(&path) => {
                path = folder_of(&path).join(fs::read_link(&path)?);
            }
            _ => return Ok(path),
        }
    }
    Err(io::Error::other("its links form a loop"))
}

/// Returns whether a link is one of the system to an open file.
fn is_of_the_system(link: &Path) -> bool {
    folder_of(link).canonicalize().is_ok_and(|folder| folder.starts_with("/proc"))
}

/// Returns the number of this process's open file that a path stands for.
fn own_descriptor(path: &Path) -> Option<u32> {
    let folder = folder_of(path).canonicalize().ok()?;
    let own = format!("/proc/{}/fd", std::process::id());
    (folder == Path::new(&own)).then(|| path.file_name()?.to_str()?.parse().ok())?
}

fn replace(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let (file, place) = create_in(folder_of(path))?.into_parts();
    filled(file, fill)?.sync_all()?;
    place.persist(path).map_err(|error| error.error)
}

/// Fills a file, and flushes it to the system.
fn filled(
    file: File,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<File> {
    let mut out = BufWriter::new(file);
    fill(&mut out)?;
    // This flushes too.
    out.into_inner().map_err(IntoInnerError::into_error)
}

/// Passes complete content on; if `fill` fails, nothing of it.
fn copy_to(
    out: &mut impl io::Write,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut content = filled(tempfile::tempfile()?, fill)?;
    content.rewind()?;
    match io::copy(&mut content, out).and_then(|_| out.flush()) {
        // Whoever reads it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Opens a device or a FIFO, whose reader has a while to come.
fn open_special(path: &Path, kind: FileType) -> io::Result<File> {
    let start = Instant::now();
    loop {
        // Without this flag, opening a FIFO would wait for ever, beyond the reach of Ctrl-C.
        let flags = if kind.is_fifo() { rustix::fs::OFlags::NONBLOCK.bits() } else { 0 };
        let opened = File::options().write(true).custom_flags(flags as i32).open(path);
        match opened {
            Err(error) if no_reader(&error) && start.elapsed() < READER_WAIT => {
                thread::sleep(READER_POLL);
            }
            Err(error) if kind.is_fifo() && no_reader(&error) => {
                let problem = "nobody reads this FIFO: start its reader first";
                return Err(io::Error::new(io::ErrorKind::TimedOut, problem));
            }
            Ok(file) if kind.is_fifo() => {
                // The reader is there; from here on, writing may wait for it.
                rustix::fs::fcntl_setfl(&file, rustix::fs::OFlags::empty())?;
                return Ok(file);
            }
            opened => return opened,
        }
    }
}

fn no_reader(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error())
}

/// Checks that [`write_whole`] will be able to write `path`, as far as that can be known before.
///
/// # Errors
///
/// The system's reason why it cannot.
pub fn check_target(path: &Path) -> io::Result<()> {
    if is_stdout(path) {
        return Ok(());
    }
    let path = follow(path)?;
    match fs::metadata(&path).map(|metadata| metadata.file_type()) {
        Ok(kind) if kind.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        // The folder of a device, a FIFO or an open file need not be writable.
        Ok(kind) if !kind.is_file() || own_descriptor(&path).is_some() => Ok(()),
        _ => check_writable(folder_of(&path)),
    }
}

/// Checks that a file can be created in `folder`; leaves none behind.
///
/// # Errors
///
/// The system's reason why it cannot.
pub fn check_writable(folder: &Path) -> io::Result<()> {
    create_in(folder).map(drop)
}

/// Returns the folder that holds `path`.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Creates a temporary file. Like any new file, it obeys the umask; a private one would surprise.
fn create_in(folder: &Path) -> io::Result<NamedTempFile> {
    Builder::new().prefix(".ddpm-").permissions(Permissions::from_mode(0o666)).tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;
    use crate::test_support::names;

    #[test]
    fn a_failed_write_leaves_the_older_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        write_whole(&path, |out| out.write_all(b"whole")).unwrap();

        let error = write_whole(&path, |out| {
            out.write_all(b"ha")?;
            Err(io::Error::other("disk full"))
        });

        assert_eq!(error.unwrap_err().to_string(), "disk full");
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(folder.path()), ["a.png"]);
    }

    #[test]
    fn an_older_file_is_replaced_by_the_whole_of_the_newer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        // Longer than a buffer, so that part of it is written before the end.
        for content in [vec![1; 100_000], vec![2; 3]] {
            write_whole(&path, |out| out.write_all(&content)).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        assert_eq!(names(folder.path()), ["a.npy"]);
    }

    #[test]
    fn its_permissions_are_those_of_any_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let [ours, other] = ["ours", "other"].map(|name| folder.path().join(name));
        write_whole(&ours, |_| Ok(())).unwrap();
        File::create(&other).unwrap();

        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(ours), mode(other));
    }

    #[test]
    fn an_unwritable_folder_is_an_error_and_a_writable_one_is_left_empty() {
        let folder = tempfile::tempdir().unwrap();
        check_writable(folder.path()).unwrap();
        assert!(names(folder.path()).is_empty());
        assert!(check_writable(&folder.path().join("missing")).is_err());
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second, target] =
            ["first", "second", "far/target"].map(|name| folder.path().join(name));
        fs::create_dir(folder.path().join("far")).unwrap();
        symlink("second", &first).unwrap();
        symlink(&target, &second).unwrap();
        for content in [b"new", b"old"] {
            write_whole(&first, |out| out.write_all(content)).unwrap();
            assert_eq!(fs::read(&target).unwrap(), content);
        }
        assert_eq!(names(&folder.path().join("far")), ["target"]);
        assert!([first, second].iter().all(|link| link.is_symlink()));
    }

    #[test]
    fn links_in_a_loop_and_folders_are_errors_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        symlink("link", &link).unwrap();
        let error = write_whole(&link, |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("loop"), "{error}");
        let error = write_whole(folder.path(), |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        assert_eq!(names(folder.path()), ["link"]);
    }

    #[test]
    fn a_fifo_gets_complete_content_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path());
        let content = vec![7; 200_000];
        let reader = {
            let path = path.clone();
            thread::spawn(move || fs::read(path).unwrap())
        };
        write_whole(&path, |out| out.write_all(&content)).unwrap();
        assert_eq!(reader.join().unwrap(), content);
        assert!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
    }

    #[test]
    fn a_failed_write_sends_nothing_through_a_fifo() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path());
        let reader = {
            let path = path.clone();
            thread::spawn(move || fs::read(path).unwrap())
        };
        let failed = write_whole(&path, |out| {
            out.write_all(&[7; 100_000])?;
            Err(io::Error::other("disk full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "disk full");
        assert_eq!(reader.join().unwrap(), b"");
    }

    #[test]
    fn a_device_is_written_to_also_through_a_link_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        // A terminal of our own: its folder takes no files, so a fault cannot cost the machine a
        // device.
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let device = PathBuf::from(name.to_str().unwrap());
        let link = folder.path().join("link");
        symlink(&device, &link).unwrap();
        // Output without a reader is dropped once nobody has the device open.
        let _open = File::open(&device).unwrap();
        let mut terminal = File::from(terminal);
        for path in [&device, &link] {
            write_whole(path, |out| out.write_all(b"shown")).unwrap();
            let mut shown = [0; 5];
            terminal.read_exact(&mut shown).unwrap();
            assert_eq!(&shown, b"shown");
        }
        assert!(fs::metadata(&device).unwrap().file_type().is_char_device());
        assert!(link.is_symlink());
    }

    fn fifo(folder: &Path) -> PathBuf {
        let path = folder.join("fifo");
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        path
    }

    #[test]
    fn a_path_of_an_open_file_is_appended_to_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"before ").unwrap();
        for root in ["/proc/self/fd", "/dev/fd"] {
            let descriptor = Path::new(root).join(file.as_raw_fd().to_string());
            check_target(&descriptor).unwrap();
            write_whole(&descriptor, |out| out.write_all(b"more ")).unwrap();
        }
        assert_eq!(fs::read(&path).unwrap(), b"before more more ");
        assert_eq!(names(folder.path()), ["log"]);
    }

    #[test]
    fn standard_output_has_several_names() {
        for path in ["-", "/dev/stdout", "/proc/self/fd/1", "/dev/fd/1"] {
            assert!(is_stdout(Path::new(path)), "{path}");
        }
        for path in ["./-", "/dev/stderr", "/dev/null", "stdout"] {
            assert!(!is_stdout(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_error() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        copy_to(&mut writer, |out| out.write_all(b"more")).unwrap();
    }

    #[test]
    fn a_target_is_checked_where_its_links_lead() {
        let folder = tempfile::tempdir().unwrap();
        let [near, far] = ["near", "far"].map(|name| folder.path().join(name));
        symlink("gone/file", &near).unwrap();
        symlink("/dev/null", &far).unwrap();
        assert!(check_target(&near).is_err());
        assert!(check_target(folder.path()).is_err());
        for fine in [&far, &fifo(folder.path()), &folder.path().join("new"), Path::new("-")] {
            check_target(fine).unwrap();
        }
    }

    #[test]
    fn a_bare_name_lies_in_the_working_folder() {
        assert_eq!(folder_of(Path::new("a.npy")), Path::new("."));
        assert_eq!(folder_of(Path::new("z/a.npy")), Path::new("z"));
    }
}

//! What is read and what is refused, as root and as anybody else: the home directory is a temporary one.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FileType, RenameFlags, mknodat, renameat_with};
use tempfile::TempDir;

use super::*;

/// A home directory with `.config/telex` in it.
struct Home {
    directory: TempDir,
    trust: Trust,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let trust = Trust { home: directory.path().to_owned(), uid: geteuid().as_raw() };
        let home = Self { directory, trust };
        fs::create_dir_all(home.path("")).unwrap();
        for directory in [home.path(""), home.path(".."), home.path("../..")] {
            fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        // Without a link on the way, so that a test can compare paths.
        self.directory.path().canonicalize().unwrap().join(".config/telex").join(name)
    }

    fn file(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, "text\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn trusted(&self, path: &Path) -> Result<Option<Vec<u8>>, FileError> {
        read_trusted(path, &self.trust, TRUSTED_FILE_BYTES)
    }

    fn private(&self, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
        read_private(path, &self.trust)
    }
}

/// What was said about `path`, and the advice, each with the path taken out.
#[track_caller]
fn refusal<T: std::fmt::Debug>(
    path: &Path,
    read: impl FnOnce(&Path) -> Result<T, FileError>,
) -> (String, String) {
    let begin = Instant::now();
    let error = read(path).unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(1), "{error}");
    let path = path.to_str().unwrap();
    let said = error.to_string();
    assert!(said.starts_with(path), "{said}");
    (said.replace(path, "PATH"), error.advice().unwrap_or_default().replace(path, "PATH"))
}

#[track_caller]
fn assert_refused((said, advice): (String, String), expected: &str, expected_advice: &str) {
    assert_eq!((said.as_str(), advice.as_str()), (expected, expected_advice));
}

#[test]
fn a_file_that_only_its_user_can_write_to_is_read() {
    let home = Home::new();
    for mode in [0o600, 0o400, 0o644, 0o755] {
        let path = home.file("authorized_keys", mode);
        assert_eq!(home.trusted(&path).unwrap().unwrap(), b"text\n");
        fs::remove_file(path).unwrap();
    }
    for mode in [0o600, 0o400, 0o700] {
        let path = home.file("id_ed25519", mode);
        assert_eq!(home.private(&path).unwrap().unwrap().as_slice(), b"text\n");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_file_that_is_not_there_is_none() {
    let home = Home::new();
    symlink("nowhere", home.path("link")).unwrap();
    for name in ["missing", "missing/missing"] {
        assert_eq!(home.trusted(&home.path(name)).unwrap(), None);
        assert_eq!(home.private(&home.path(name)).unwrap(), None);
    }
    // Somebody has meant a file to be there.
    let dangling = home.trusted(&home.path("link")).unwrap_err();
    assert!(matches!(dangling.problem, FileProblem::DanglingLink), "{dangling}");
    let not_a_directory = home.file("file", 0o600).join("below");
    assert!(matches!(home.trusted(&not_a_directory).unwrap_err().problem, FileProblem::System(_)));
}

#[test]
fn a_file_that_others_can_write_to_is_refused_with_the_command_that_closes_it() {
    let home = Home::new();
    for mode in [0o666, 0o620, 0o602] {
        let said = refusal(&home.file("authorized_keys", mode), |path| home.trusted(path));
        let expected = format!("PATH: it can be changed by others (mode {mode:04o})");
        assert_refused(said, &expected, "chmod go-w PATH");
    }
}

#[test]
fn a_private_key_that_others_can_read_is_refused_with_the_command_that_closes_it() {
    let home = Home::new();
    for mode in [0o644, 0o640, 0o604, 0o610, 0o602] {
        let said = refusal(&home.file("id_ed25519", mode), |path| home.private(path));
        let expected = format!("PATH: it is a secret, and open to others (mode {mode:04o})");
        assert_refused(said, &expected, "chmod 600 PATH");
    }
}

#[test]
fn every_directory_up_to_the_home_directory_counts() {
    for (above, mode) in [("", 0o777), ("..", 0o775), ("../..", 0o757)] {
        let home = Home::new();
        let file = home.file("authorized_keys", 0o600);
        let directory = home.path(above).canonicalize().unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
        let said = refusal(&file, |path| home.trusted(path));
        let directory = directory.display();
        let expected = format!("PATH: directory {directory} can be changed by others (mode {mode:04o})");
        assert_refused(said, &expected, &format!("chmod go-w {directory}"));
        assert!(home.private(&file).is_ok());
    }
}

#[test]
fn nothing_above_the_home_directory_counts_and_everything_above_a_file_elsewhere() {
    let outside = tempfile::tempdir().unwrap();
    let place = outside.path().canonicalize().unwrap();
    let mut home = Home::new();
    home.trust.home = place.join("home");
    fs::create_dir(&home.trust.home).unwrap();
    fs::set_permissions(&home.trust.home, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&place, Permissions::from_mode(0o1777)).unwrap();
    for path in [place.join("home/file"), place.join("file")] {
        fs::write(&path, "text").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }
    assert!(home.trusted(&place.join("home/file")).is_ok());
    let said = refusal(&place.join("file"), |path| home.trusted(path));
    let expected = format!("PATH: directory {} can be changed by others (mode 1777)", place.display());
    // No command: a sticky directory is open on purpose.
    assert_refused(said, &expected, "keep it in a directory that only you can write to");
}

#[test]
fn the_home_directory_is_known_behind_a_link() {
    let mut home = Home::new();
    let file = home.file("authorized_keys", 0o600);
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("home");
    symlink(home.directory.path(), &link).unwrap();
    home.trust.home = link.clone();
    assert!(home.trusted(&file).is_ok());
    assert!(home.trusted(&link.join(".config/telex/authorized_keys")).is_ok());
}

#[test]
fn a_link_is_followed_and_judged_by_where_it_leads() {
    let home = Home::new();
    let target = home.file("target", 0o600);
    let link = home.path("link");
    symlink("target", &link).unwrap();
    assert!(home.trusted(&link).is_ok());
    assert!(home.private(&link).is_ok());
    fs::set_permissions(&target, Permissions::from_mode(0o666)).unwrap();
    let target = target.display();
    assert_refused(
        refusal(&link, |path| home.trusted(path)),
        &format!("PATH (a link to {target}): it can be changed by others (mode 0666)"),
        &format!("if that is the file you mean, chmod go-w {target}"),
    );
    assert_refused(
        refusal(&link, |path| home.private(path)),
        &format!("PATH (a link to {target}): it is a secret, and open to others (mode 0666)"),
        &format!("if that is the file you mean, chmod 600 {target}"),
    );
}

#[test]
fn a_link_into_a_directory_that_others_can_write_to_is_refused() {
    let home = Home::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("file");
    fs::write(&target, "text").unwrap();
    fs::set_permissions(&target, Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(elsewhere.path(), Permissions::from_mode(0o777)).unwrap();
    symlink(&target, home.path("link")).unwrap();
    let error = home.trusted(&home.path("link")).unwrap_err();
    assert!(matches!(error.problem, FileProblem::Writable { place: Place::Directory(_), .. }), "{error}");
}

/// Whatever is exchanged between the steps of reading, either the good file is read or none.
#[test]
fn a_directory_that_is_exchanged_meanwhile_does_not_put_another_file_in_its_place() {
    let home = Home::new();
    for (directory, mode) in [("good", 0o755), ("evil", 0o777)] {
        fs::create_dir(home.path(directory)).unwrap();
        fs::write(home.path(directory).join("file"), directory).unwrap();
        fs::set_permissions(home.path(directory).join("file"), Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(home.path(directory), Permissions::from_mode(mode)).unwrap();
    }
    symlink("evil", home.path("link")).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let (good, link) = (home.path("good"), home.path("link"));
                renameat_with(CWD, good, CWD, link, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let read: Vec<_> = (0..5000).filter_map(|_| home.trusted(&home.path("good/file")).ok()).collect();
        done.store(true, Ordering::Relaxed);
        assert!(!read.is_empty());
        assert!(read.iter().flatten().all(|text| text == b"good"));
    });
}

/// As root, the file can be opened; it is its user that may not read it.
#[test]
fn a_link_to_the_systems_secrets_is_refused() {
    let mut home = Home::new();
    symlink("/etc/shadow", home.path("link")).unwrap();
    let said = home.private(&home.path("link")).unwrap_err().to_string();
    assert!(said.starts_with(home.path("link").to_str().unwrap()), "{said}");
    if geteuid().is_root() {
        home.trust.uid = 1000;
        let (said, advice) = refusal(&home.path("link"), |path| home.trusted(path));
        assert!(said.starts_with("PATH (a link to /etc/shadow): it may not be read by uid 1000"), "{said}");
        assert_eq!(advice, "put a file of your own in its place");
    } else {
        let said = home.trusted(&home.path("link")).unwrap_err().to_string();
        assert!(said.contains("permission denied"), "{said}");
    }
}

#[test]
fn somebody_elses_file_is_refused() {
    let mut home = Home::new();
    let file = home.file("authorized_keys", 0o644);
    let own = home.trust.uid;
    home.trust.uid = own + 1;
    // What is root's is trusted by everyone but as a private key.
    if own == 0 {
        assert!(home.trusted(&file).is_ok());
    } else {
        let error = home.trusted(&file).unwrap_err();
        assert!(matches!(error.problem, FileProblem::Owner { place: Place::Directory(_), .. }), "{error}");
    }
    assert_refused(
        refusal(&file, |path| home.private(path)),
        &format!("PATH: it belongs to uid {own}, not to uid {}", own + 1),
        &format!("if you know what is in it, chown {} PATH", own + 1),
    );
}

#[test]
fn what_is_not_a_file_is_refused_without_waiting_for_it() {
    let home = Home::new();
    mknodat(CWD, home.path("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    fs::create_dir(home.path("directory")).unwrap();
    fs::set_permissions(home.path("directory"), Permissions::from_mode(0o700)).unwrap();
    let _listener = UnixListener::bind(home.path("socket")).unwrap();
    for (name, kind) in [("fifo", "a FIFO"), ("directory", "a directory"), ("socket", "a socket")] {
        let expected = format!("PATH: it is {kind}, not a file");
        let advice = "put an ordinary file in its place";
        assert_refused(refusal(&home.path(name), |path| home.trusted(path)), &expected, advice);
        assert_refused(refusal(&home.path(name), |path| home.private(path)), &expected, advice);
        assert_refused(refusal(&home.path(name), |path| read_untrusted(path, 5)), &expected, advice);
    }
    // Who owns the system's directories is not the same in every container.
    for path in ["/dev/zero", "/dev/tty", "/"].map(Path::new) {
        assert!(refusal(path, |path| home.trusted(path)).0.len() > 1);
        assert!(refusal(path, |path| home.private(path)).0.len() > 1);
        assert!(refusal(path, |path| read_untrusted(path, 5)).0.len() > 1);
    }
}

#[test]
fn a_file_of_5_gib_is_refused_by_its_size() {
    let home = Home::new();
    let path = home.file("sparse", 0o600);
    File::options().write(true).open(&path).unwrap().set_len(5 << 30).unwrap();
    assert_refused(
        refusal(&path, |path| home.trusted(path)),
        "PATH: it has 5368709120 bytes; at most 1048576 are read",
        "keep it below 1048576 bytes",
    );
    assert!(matches!(home.private(&path).unwrap_err().problem, FileProblem::TooLarge { limit: 65536, .. }));
}

#[test]
fn a_file_that_decides_nothing_may_be_open_to_others_but_not_endless() {
    let home = Home::new();
    let path = home.file("id_ed25519.pub", 0o666);
    assert_eq!(read_untrusted(&path, 5).unwrap().unwrap().as_slice(), b"text\n");
    assert!(matches!(read_untrusted(&path, 4).unwrap_err().problem, FileProblem::TooLarge { limit: 4, .. }));
    assert_eq!(read_untrusted(&home.path("missing"), 5).unwrap(), None);
}

#[test]
fn the_limit_itself_is_read_and_a_byte_more_is_not() {
    let home = Home::new();
    let path = home.file("file", 0o600);
    assert_eq!(read_trusted(&path, &home.trust, 5).unwrap().unwrap().len(), 5);
    assert!(read_trusted(&path, &home.trust, 4).is_err());
    // What grows while it is read has more than its size said: so do the files of /proc.
    let growing = File::open("/proc/self/stat").unwrap();
    let stat = fstat(&growing).unwrap();
    assert!(matches!(read(growing, &stat, 4), Err(FileProblem::TooLarge { size: 5, limit: 4 })));
}

#[test]
fn the_current_user_is_trusted() {
    let trust = Trust::current();
    assert_eq!(trust.uid, geteuid().as_raw());
    assert!(trust.home.is_absolute());
}

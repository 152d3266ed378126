//! One suite for every disk: the real one in a temporary directory and the simulated
//! one must not differ in anything that these functions see.

use std::io::ErrorKind;
use std::path::Path;

use thalweg_core::env::sim::SimEnv;
use thalweg_core::env::{Disk, Env, OpenMode, read_file, replace_file};

fn on_real_disk(check: fn(&dyn Disk, &Path)) {
    let directory = tempfile::tempdir().expect("temporary directory");
    check(&*Env::real().disk, directory.path());
}

fn on_simulated_disk(check: fn(&dyn Disk, &Path)) {
    let sim = SimEnv::new(1);
    sim.disk.create_dir_all(Path::new("/some/where")).expect("directory");
    check(&*sim.disk, Path::new("/some/where"));
}

macro_rules! conformance {
    ($($check:ident),* $(,)?) => {
        mod real {
            $(#[test] fn $check() { super::on_real_disk(super::$check); })*
        }
        mod simulated {
            $(#[test] fn $check() { super::on_simulated_disk(super::$check); })*
        }
    };
}

conformance!(
    reads_back_what_it_wrote,
    holes_read_as_zeros,
    set_len_cuts_and_extends,
    reading_past_the_end,
    open_modes,
    read_handles_do_not_write,
    handles_share_the_file,
    unlinked_files_stay_readable,
    list_is_sorted_and_complete,
    create_dir_all_is_idempotent,
    rename_replaces_a_file,
    rename_moves_a_directory,
    rename_refuses,
    removing,
    paths_through_files,
    locks_exclude,
    replace_file_leaves_one_name,
    read_file_is_bounded,
    free_bytes_is_known,
    syncs_succeed,
);

fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    let file = disk.open(path, OpenMode::Create).expect("open");
    file.set_len(0).expect("set_len");
    file.write_at(bytes, 0).expect("write");
}

fn contents(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    read_file(disk, path, 1 << 20).expect("read")
}

fn kind<T>(result: std::io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn reads_back_what_it_wrote(disk: &dyn Disk, root: &Path) {
    let path = root.join("file");
    let file = disk.open(&path, OpenMode::CreateNew).expect("open");
    assert!(file.is_empty().expect("len"));
    let pattern: Vec<u8> = (0..2000_u32).map(|n| (n % 251) as u8).collect();
    file.write_at(&pattern, 0).expect("write");
    file.write_at(b"over", 510).expect("write");
    file.write_at(b"", 5000).expect("nothing to write");
    assert_eq!(file.len().expect("len"), 2000);
    let mut expected = pattern;
    expected[510..514].copy_from_slice(b"over");
    assert_eq!(contents(disk, &path), expected);
    let mut part = [0; 8];
    file.read_exact_at(&mut part, 508).expect("read");
    assert_eq!(part, expected[508..516]);
}

fn holes_read_as_zeros(disk: &dyn Disk, root: &Path) {
    let path = root.join("file");
    let file = disk.open(&path, OpenMode::Create).expect("open");
    file.write_at(b"end", 1000).expect("write");
    let read = contents(disk, &path);
    assert_eq!(read.len(), 1003);
    assert!(read[..1000].iter().all(|&byte| byte == 0));
    assert_eq!(&read[1000..], b"end");
}

fn set_len_cuts_and_extends(disk: &dyn Disk, root: &Path) {
    let path = root.join("file");
    write(disk, &path, b"0123456789");
    let file = disk.open(&path, OpenMode::Write).expect("open");
    file.set_len(4).expect("cut");
    assert_eq!(contents(disk, &path), b"0123");
    file.set_len(8).expect("extend");
    assert_eq!(contents(disk, &path), b"0123\0\0\0\0");
}

fn reading_past_the_end(disk: &dyn Disk, root: &Path) {
    let path = root.join("file");
    write(disk, &path, b"0123");
    let file = disk.open(&path, OpenMode::Read).expect("open");
    let mut buf = [9; 4];
    assert_eq!(file.read_at(&mut buf, 2).expect("read"), 2);
    assert_eq!(buf, [b'2', b'3', 9, 9]);
    assert_eq!(file.read_at(&mut buf, 4).expect("read"), 0);
    assert_eq!(file.read_at(&mut buf, 4000).expect("read"), 0);
    assert_eq!(file.read_at(&mut [], 0).expect("read"), 0);
    assert_eq!(kind(file.read_exact_at(&mut buf, 1)), Some(ErrorKind::UnexpectedEof));
}

fn open_modes(disk: &dyn Disk, root: &Path) {
    let path = root.join("file");
    for mode in [OpenMode::Read, OpenMode::Write] {
        assert_eq!(kind(disk.open(&path, mode)), Some(ErrorKind::NotFound));
    }
    assert!(!disk.exists(&path));
    write(disk, &path, b"kept");
    assert!(disk.exists(&path));
    assert_eq!(kind(disk.open(&path, OpenMode::CreateNew)), Some(ErrorKind::AlreadyExists));
    for mode in [OpenMode::Read, OpenMode::Write, OpenMode::Create] {
        assert_eq!(disk.open(&path, mode).expect("open").len().expect("len"), 4);
    }
    let lost = root.join("missing").join("file");
    assert_eq!(kind(disk.open(&lost, OpenMode::Create)), Some(ErrorKind::NotFound));
    assert_eq!(kind(disk.open(root, OpenMode::Write)), Some(ErrorKind::IsADirectory));
    assert_eq!(kind(disk.open(root, OpenMode::Read)), Some(ErrorKind::IsADirectory));
}

fn read_handles_do_not_write(disk: &dyn Disk, root: &Path) {
    let path = root.join("file");
    write(disk, &path, b"kept");
    let file = disk.open(&path, OpenMode::Read).expect("open");
    assert!(file.write_at(b"x", 0).is_err());
    assert!(file.set_len(0).is_err());
    assert_eq!(contents(disk, &path), b"kept");
}

fn handles_share_the_file(disk: &dyn Disk, root: &Path) {
    let path = root.join("file");
    write(disk, &path, b"old");
    let reader = disk.open(&path, OpenMode::Read).expect("open");
    let writer = disk.open(&path, OpenMode::Write).expect("open");
    writer.write_at(b"newer", 0).expect("write");
    drop(writer);
    let mut buf = [0; 5];
    reader.read_exact_at(&mut buf, 0).expect("read");
    assert_eq!(&buf, b"newer");
}

fn unlinked_files_stay_readable(disk: &dyn Disk, root: &Path) {
    let path = root.join("file");
    write(disk, &path, b"old");
    let file = disk.open(&path, OpenMode::Write).expect("open");
    disk.remove_file(&path).expect("remove");
    disk.sync_dir(root).expect("sync");
    for n in 0..300 {
        write(disk, &root.join(format!("other-{n}")), b"new");
    }
    file.write_at(b"er", 3).expect("write");
    let mut buf = [0; 5];
    file.read_exact_at(&mut buf, 0).expect("read");
    assert_eq!(&buf, b"older");
    assert!(!disk.exists(&path));
}

fn list_is_sorted_and_complete(disk: &dyn Disk, root: &Path) {
    assert_eq!(disk.list(root).expect("list"), []);
    for name in ["b", "a", "10", "9"] {
        write(disk, &root.join(name), name.as_bytes());
    }
    disk.create_dir_all(&root.join("ab")).expect("directory");
    let entries = disk.list(root).expect("list");
    let seen: Vec<_> = entries.iter().map(|e| (e.name.as_str(), e.is_dir, e.len)).collect();
    assert_eq!(
        seen,
        [("10", false, 2), ("9", false, 1), ("a", false, 1), ("ab", true, 0), ("b", false, 1)]
    );
    assert_eq!(kind(disk.list(&root.join("none"))), Some(ErrorKind::NotFound));
    assert_eq!(kind(disk.list(&root.join("a"))), Some(ErrorKind::NotADirectory));
}

fn create_dir_all_is_idempotent(disk: &dyn Disk, root: &Path) {
    let deep = root.join("x").join("y").join("z");
    disk.create_dir_all(&deep).expect("create");
    disk.create_dir_all(&deep).expect("again");
    write(disk, &deep.join("file"), b"1");
    disk.create_dir_all(&deep).expect("with something in it");
    assert_eq!(contents(disk, &deep.join("file")), b"1");
    let file = deep.join("file");
    assert_eq!(kind(disk.create_dir_all(&file)), Some(ErrorKind::NotADirectory));
    assert_eq!(kind(disk.create_dir_all(&file.join("below"))), Some(ErrorKind::NotADirectory));
}

fn rename_replaces_a_file(disk: &dyn Disk, root: &Path) {
    let (old, new) = (root.join("old"), root.join("new"));
    write(disk, &old, b"old");
    write(disk, &new, b"new contents");
    let reader = disk.open(&new, OpenMode::Read).expect("open");
    disk.rename(&old, &new).expect("rename");
    assert!(!disk.exists(&old));
    assert_eq!(contents(disk, &new), b"old");
    assert_eq!(reader.len().expect("len"), 12, "a handle stays with its file");
    disk.rename(&new, &new).expect("onto itself");
    assert_eq!(contents(disk, &new), b"old");
}

fn rename_moves_a_directory(disk: &dyn Disk, root: &Path) {
    let (old, new) = (root.join("old"), root.join("new"));
    disk.create_dir_all(&old.join("deep")).expect("directory");
    write(disk, &old.join("deep").join("file"), b"moved");
    disk.create_dir_all(&new).expect("an empty one is replaced");
    disk.rename(&old, &new).expect("rename");
    assert_eq!(contents(disk, &new.join("deep").join("file")), b"moved");
    assert!(!disk.exists(&old));
}

fn rename_refuses(disk: &dyn Disk, root: &Path) {
    let (file, dir, full) = (root.join("file"), root.join("dir"), root.join("full"));
    write(disk, &file, b"1");
    disk.create_dir_all(&dir).expect("directory");
    disk.create_dir_all(&full.join("x")).expect("directory");
    assert_eq!(kind(disk.rename(&root.join("none"), &file)), Some(ErrorKind::NotFound));
    assert_eq!(kind(disk.rename(&file, &dir)), Some(ErrorKind::IsADirectory));
    assert_eq!(kind(disk.rename(&dir, &file)), Some(ErrorKind::NotADirectory));
    assert_eq!(kind(disk.rename(&dir, &full)), Some(ErrorKind::DirectoryNotEmpty));
    assert_eq!(kind(disk.rename(&full, &full.join("x").join("y"))), Some(ErrorKind::InvalidInput));
    assert_eq!(disk.list(root).expect("list").len(), 3);
}

fn removing(disk: &dyn Disk, root: &Path) {
    let (file, dir) = (root.join("file"), root.join("dir"));
    write(disk, &file, b"1");
    disk.create_dir_all(&dir.join("deep").join("deeper")).expect("directory");
    write(disk, &dir.join("deep").join("file"), b"1");
    assert_eq!(kind(disk.remove_file(&dir)), Some(ErrorKind::IsADirectory));
    assert_eq!(kind(disk.remove_dir_all(&file)), Some(ErrorKind::NotADirectory));
    disk.remove_file(&file).expect("remove");
    disk.remove_dir_all(&dir).expect("remove");
    assert_eq!(disk.list(root).expect("list"), []);
    assert_eq!(kind(disk.remove_file(&file)), Some(ErrorKind::NotFound));
    assert_eq!(kind(disk.remove_dir_all(&dir)), Some(ErrorKind::NotFound));
}

fn paths_through_files(disk: &dyn Disk, root: &Path) {
    let file = root.join("file");
    write(disk, &file, b"1");
    let through = file.join("x");
    assert_eq!(kind(disk.open(&through, OpenMode::Create)), Some(ErrorKind::NotADirectory));
    assert_eq!(kind(disk.rename(&file, &through)), Some(ErrorKind::NotADirectory));
    assert!(!disk.exists(&through));
    let around = root.join("dir").join("..").join("file");
    disk.create_dir_all(&root.join("dir")).expect("directory");
    assert_eq!(contents(disk, &around), b"1");
}

fn locks_exclude(disk: &dyn Disk, root: &Path) {
    let path = root.join("lock");
    let held = disk.lock(&path).expect("free");
    assert!(disk.exists(&path));
    assert_eq!(kind(disk.lock(&path)), Some(ErrorKind::WouldBlock));
    drop(held);
    let again = disk.lock(&path).expect("free again");
    let other = disk.lock(&root.join("other")).expect("another lock");
    drop((again, other));
}

fn replace_file_leaves_one_name(disk: &dyn Disk, root: &Path) {
    let path = root.join("file");
    replace_file(disk, &path, b"first and long").expect("replace");
    replace_file(disk, &path, b"second").expect("replace");
    assert_eq!(contents(disk, &path), b"second");
    assert_eq!(disk.list(root).expect("list").len(), 1);
}

fn read_file_is_bounded(disk: &dyn Disk, root: &Path) {
    let path = root.join("file");
    write(disk, &path, b"12345");
    assert_eq!(read_file(disk, &path, 5).expect("fits"), b"12345");
    assert_eq!(kind(read_file(disk, &path, 4)), Some(ErrorKind::FileTooLarge));
}

fn free_bytes_is_known(disk: &dyn Disk, root: &Path) {
    assert!(disk.free_bytes(root).expect("free bytes") > 0);
    assert_eq!(kind(disk.free_bytes(&root.join("none"))), Some(ErrorKind::NotFound));
}

fn syncs_succeed(disk: &dyn Disk, root: &Path) {
    let path = root.join("file");
    write(disk, &path, b"1");
    disk.open(&path, OpenMode::Write).expect("open").sync_data().expect("sync");
    disk.open(&path, OpenMode::Read).expect("open").sync_data().expect("sync");
    disk.sync_dir(root).expect("sync");
    assert_eq!(kind(disk.sync_dir(&root.join("none"))), Some(ErrorKind::NotFound));
}

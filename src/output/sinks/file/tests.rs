use super::*;
use crate::output::testing::batch;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn write(sink: &mut File, line: &str) {
    let accepted = sink.write(&mut batch(&[line])).unwrap();
    assert_eq!(accepted, Accepted { documents: 1, bytes: line.len(), owed: 0 });
}

#[test]
fn replaces_or_appends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    for (opening, line, expected) in [
        (Opening::Replace, "one\n", "one\n"),
        (Opening::Append, "two\n", "one\ntwo\n"),
        (Opening::Replace, "three\n", "three\n"),
    ] {
        write(&mut File::open(&path, opening).unwrap(), line);
        assert_eq!(read(&path), expected);
    }
    fs::write(&path, "torn by a crash").unwrap();
    let mut sink = File::open(&path, Opening::Append).unwrap();
    assert_eq!(read(&path), "torn by a crash", "nothing is written before there is something to write");
    write(&mut sink, "next\n");
    write(&mut sink, "last\n");
    assert_eq!(read(&path), "torn by a crash\nnext\nlast\n");
}

#[test]
fn what_a_crash_left_of_a_document_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    for (torn, kept) in [
        ("{\"a\":1}\n{\"b\":", "{\"a\":1}\n"),
        ("{\"a\":1}\n{\"b\":{\"c\":1}", "{\"a\":1}\n"),
        ("{\"b", ""),
        ("{\"whole\":1}", "{\"whole\":1}\n"),
        ("a note", "a note\n"),
    ] {
        fs::write(&path, torn).unwrap();
        write(&mut File::open(&path, Opening::Append).unwrap(), "{}\n");
        assert_eq!(read(&path), format!("{kept}{{}}\n"), "{torn}");
    }
}

#[test]
fn one_process_writes_a_file_and_it_is_not_emptied_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let mut first = File::open(&path, Opening::Append).unwrap();
    write(&mut first, "first\n");
    for opening in [Opening::Append, Opening::Replace] {
        let refusal = File::open(&path, opening).unwrap_err().to_string();
        let holder = format!("process {} writes this file already", std::process::id());
        assert!(refusal.contains(&holder) || refusal.contains("another process writes"), "{refusal}");
    }
    assert_eq!(read(&path), "first\n");
    drop(first);
    File::open(&path, Opening::Replace).unwrap();
}

#[test]
fn a_file_that_was_emptied_has_no_hole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    for opening in [Opening::Append, Opening::Replace] {
        let mut sink = File::open(&path, opening).unwrap();
        write(&mut sink, "before\n");
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
        write(&mut sink, "after\n");
        assert_eq!(read(&path), "after\n");
    }
}

#[test]
fn a_new_file_is_closed_to_others_and_an_old_one_stays_as_it_is() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    drop(File::open(&path, Opening::Append).unwrap());
    assert_eq!(mode(), 0o640);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
    drop(File::open(&path, Opening::Append).unwrap());
    assert_eq!(mode(), 0o664);
}

#[test]
fn a_file_that_was_moved_away_can_be_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let sink = File::open(&path, Opening::Append).unwrap();
    assert!(!sink.is_moved_away());
    fs::rename(&path, folder.path().join("out.1")).unwrap();
    assert!(sink.is_moved_away());
    fs::write(&path, "another file").unwrap();
    assert!(sink.is_moved_away());
    assert!(!File::open(Path::new("/dev/null"), Opening::Append).unwrap().is_moved_away());
}

#[test]
fn errors_name_path_and_reason() {
    let error = File::open(Path::new("/nonexistent/folder/out"), Opening::Replace).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot open /nonexistent/folder/out for writing: No such file or directory (os error 2)"
    );
    let mut full = File::open(Path::new("/dev/full"), Opening::Append).unwrap();
    let mut pending = batch(&["line\n"]);
    let error = full.write(&mut pending).unwrap_err();
    assert_eq!(error.to_string(), "cannot write to /dev/full: No space left on device (os error 28)");
    assert!(!error.is_closed_pipe());
    assert_eq!(pending.bytes(), b"line\n", "kept for the next try");
}

#[test]
fn only_what_keeps_something_is_of_use() {
    let folder = tempfile::tempdir().unwrap();
    let is_useful = |path: &Path| File::open(path, Opening::Replace).unwrap().is_useful();
    assert!(is_useful(&folder.path().join("out")) && is_useful(Path::new("/dev/full")));
    assert!(!is_useful(Path::new("/dev/null")));
}

#[test]
fn the_end_of_a_file_is_read_without_moving_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    fs::write(&path, "first\nsecond\n").unwrap();
    let mut sink = File::open(&path, Opening::Append).unwrap();
    assert_eq!((sink.tail(7), sink.tail(100)), (b"second\n".to_vec(), b"first\nsecond\n".to_vec()));
    write(&mut sink, "third\n");
    assert_eq!(read(&path), "first\nsecond\nthird\n");
    assert_eq!(File::open(Path::new("/dev/null"), Opening::Append).unwrap().tail(9), b"");
}

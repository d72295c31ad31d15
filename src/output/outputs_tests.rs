use std::{fs, os::fd::AsFd, sync::Arc};

use super::*;
use crate::{
    document::{EcsJson, Identifier, Route, Value},
    event::{ErrorEvent, Site, testing as events},
    output::{sinks::trickle, testing::alert},
    time::Timestamp,
};

fn encoding() -> EcsJson {
    EcsJson::new(Arc::default())
}

fn settings(alerts: &Path) -> OutputSettings {
    OutputSettings {
        alerts: Some(alerts.to_owned()),
        events: None,
        exchanges: None,
        stats: None,
        report: None,
        format: AlertFormat::default(),
        opening: Opening::Append,
        evidence: crate::output::EvidenceSettings::default(),
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn error() -> ErrorEvent {
    events::event(events::client(7), Timestamp::from_parts(1_700_000_000, 0), 8, "/a")
}

/// The value of a counter of the outputs.
fn count(outputs: &Outputs, name: &str) -> u64 {
    outputs.counts().counts.iter().find(|count| count.name == name).unwrap().value
}

#[test]
fn a_sink_that_takes_little_and_refuses_often_gets_everything_in_order_and_once() {
    for most in [1, 2, 7] {
        let mut outputs = Outputs::open(&settings(Path::new(&format!("trickle:{most}")))).unwrap();
        outputs.keep_trying();
        let lines: Vec<String> = (0..100).map(|number| format!("line {number}\n")).collect();
        for (index, line) in lines.iter().enumerate() {
            outputs.write(&alert(line), &mut encoding());
            if index % 10 == 9 {
                outputs.flush().unwrap();
            }
        }
        while outputs.unwritten() > 0 {
            outputs.flush().unwrap();
        }
        let expected: Vec<_> = (0u64..).zip(lines.iter().map(|line| line.as_bytes().to_vec())).collect();
        assert_eq!(trickle::taken(), expected, "at most {most} a call");
        assert_eq!((count(&outputs, "dropped_lines"), count(&outputs, "undelivered_lines")), (0, 0));
    }
}

#[test]
fn a_sink_sees_what_each_document_is() {
    let (site, event) = (Site::default(), error());
    let [event, exchange] = Document::pair(&event, &site);
    let mut batch = Batch::default();
    let mut encoding = encoding();
    for document in [&event, &exchange, &alert("{}\n")] {
        encoding.write(document, &mut batch);
    }
    let kinds: Vec<_> = batch.iter().map(|document| (document.kind, document.route.dataset, document.number)).collect();
    let dataset = event.route.dataset;
    assert_eq!(kinds, [(Kind::Event, dataset, 0), (Kind::Exchange, dataset, 1), (Kind::Alert, "wirespike.alert", 2)]);
    for (document, original) in batch.iter().zip([event, exchange]) {
        assert_eq!((document.id, document.time, document.route), (original.id, original.time, original.route));
        let value: serde_json::Value = serde_json::from_slice(document.bytes).unwrap();
        assert_eq!(value["event"]["id"], document.id.to_string());
        assert_eq!(value["source"]["ip"], document.route.client.unwrap().to_string());
        assert_eq!(value["data_stream"]["namespace"], document.route.namespace);
    }
}

#[test]
fn writes_in_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let mut outputs = Outputs::open(&settings(&path)).unwrap();
    outputs.write(&alert("small\n"), &mut encoding());
    let large = format!("{}\n", "x".repeat(BLOCK));
    outputs.submit().unwrap();
    assert_eq!(read(&path), "");
    outputs.write(&alert(&large), &mut encoding());
    outputs.submit().unwrap();
    assert_eq!(read(&path).len(), BLOCK + 7);
}

#[test]
fn a_file_that_was_moved_away_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let [path, moved] = ["out", "out.1"].map(|name| folder.path().join(name));
    let settings = settings(&path);
    let mut outputs = Outputs::open(&settings).unwrap();
    let reload = |outputs: &mut Outputs| outputs.reload(Outputs::open_changed(&settings, &settings).unwrap());
    outputs.write(&alert("before\n"), &mut encoding());
    reload(&mut outputs);
    fs::rename(&path, &moved).unwrap();
    reload(&mut outputs);
    outputs.write(&alert("after\n"), &mut encoding());
    outputs.flush().unwrap();
    assert_eq!((read(&moved), read(&path)), ("before\n".into(), "after\n".into()));
}

#[test]
fn documents_that_one_sink_cannot_write_are_written_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (full, next) = (settings(Path::new("/dev/full")), settings(&folder.path().join("out")));
    let mut outputs = Outputs::open(&full).unwrap();
    outputs.keep_trying();
    outputs.write(&alert("kept\n"), &mut encoding());
    outputs.flush().unwrap();
    assert_eq!((outputs.unwritten(), outputs.unwritten_alerts()), (1, &b"kept\n"[..]));
    outputs.reload(Outputs::open_changed(&full, &next).unwrap());
    outputs.flush().unwrap();
    assert_eq!((read(&folder.path().join("out")), outputs.unwritten()), ("kept\n".into(), 0));
}

#[test]
fn what_cannot_be_written_for_long_is_dropped_and_counted() {
    let mut outputs = Outputs::open(&settings(Path::new("/dev/full"))).unwrap();
    outputs.keep_trying();
    let line = format!("{}\n", "x".repeat(999));
    let mut written = 0;
    while count(&outputs, "dropped_lines") == 0 {
        outputs.write(&alert(&line), &mut encoding());
        written += 1;
        if written % 1_000 == 0 {
            outputs.flush().unwrap();
        }
    }
    let kept = outputs.unwritten_alerts();
    assert!(kept.len() <= MAX_PENDING && kept.ends_with(b"\n"));
    assert_eq!(outputs.unwritten() as u64 + count(&outputs, "dropped_lines"), written);
}

/// Outputs whose alerts go to a pipe without a reader. The pipe must live as long as they do.
fn without_reader(others: impl FnOnce(&mut OutputSettings)) -> (std::io::PipeWriter, Outputs) {
    let (reader, writer) = std::io::pipe().unwrap();
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&writer.as_fd());
    let mut settings = settings(Path::new(&format!("/proc/self/fd/{descriptor}")));
    others(&mut settings);
    let outputs = Outputs::open(&settings).unwrap();
    drop(reader);
    (writer, outputs)
}

#[test]
fn a_run_whose_readers_have_all_gone_ends() {
    let (_pipe, mut outputs) = without_reader(|settings| settings.events = Some("/dev/null".into()));
    outputs.write(&alert("nobody\n"), &mut encoding());
    assert!(outputs.flush().unwrap_err().is_closed_pipe(), "/dev/null is of use to nobody");
    assert_eq!(count(&outputs, "undelivered_lines"), 1);
}

#[test]
fn other_outputs_go_on_when_a_reader_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let [events, stats] = ["events", "stats"].map(|name| folder.path().join(name));
    type Change = Box<dyn FnOnce(&mut OutputSettings)>;
    let others: [Change; 2] =
        [Box::new(|settings| settings.events = Some(events)), Box::new(|settings| settings.stats = Some(stats))];
    for others in others {
        let (_pipe, mut outputs) = without_reader(others);
        for _ in 0..2 {
            outputs.write(&alert("nobody\n"), &mut encoding());
            outputs.write(&alert("reads\n"), &mut encoding());
            outputs.flush().unwrap();
        }
        assert_eq!((count(&outputs, "undelivered_lines"), outputs.unwritten()), (4, 0));
    }
}

#[test]
fn alerts_of_an_earlier_run_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    fs::write(&path, "written\n").unwrap();
    let mut outputs = Outputs::open(&settings(&path)).unwrap();
    assert_eq!(outputs.last_alerts(), b"written\n");
    outputs.restore_alerts(b"{\"event\":{}}\n{}\n", &mut encoding());
    outputs.write(&alert("new\n"), &mut encoding());
    outputs.flush().unwrap();
    assert_eq!(read(&path), "written\n{\"event\":{}}\n{}\nnew\n");
}

#[test]
fn statistics_replace_those_of_the_last_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stats");
    fs::write(&path, "of the last run\n").unwrap();
    let mut output = LastOutput::open(&path).unwrap();
    let document = Document {
        id: Identifier::default(),
        time: Timestamp::EPOCH,
        route: Route { dataset: "wirespike.statistics", namespace: "default", client: None },
        value: Value::Statistics(&Default::default()),
    };
    output.write(&document, &mut encoding()).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&read(&path)).unwrap()["packets"], 0);
}

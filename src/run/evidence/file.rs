//! The file with the packets of one alert.
//!
//! In: packets in order, the first packets of connections that are older, then a comment. Out: a pcapng file. Promises: half a file
//! never stands under the final name; the file holds at most the bound of bytes, and an eighth more of first packets; what is gathered
//! can be moved from memory to disk at any time; parts that are left over are removed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    mem,
    path::{Path, PathBuf},
    process,
};

use crate::{
    capture::{LinkType, Packet},
    evidence::{
        Amount, Bound, Place,
        pcapng::{self, Interface},
    },
    regular,
};

/// What is known of the interfaces that packets came through.
#[derive(Debug, Clone, Default)]
pub(in crate::run) struct Interfaces {
    /// The names, by number. A replay knows none.
    pub(in crate::run) names: Vec<String>,
    /// Bytes that were captured of each packet at most; 0 where that is not known.
    pub(in crate::run) snap_length: u32,
}

/// The most bytes of the first packets of older connections in a file.
const MOST_OPENINGS: u64 = 4 << 20;

/// The packets that are gathered for one file.
#[derive(Debug)]
pub(super) struct PacketFile {
    path: PathBuf,
    bound: Bound,
    /// The first packets of older connections, connection by connection.
    openings: Segment,
    opened: Amount,
    first: Segment,
    older: Segment,
    newer: Segment,
    /// The interfaces of the packets, in the order of their numbers in the file.
    interfaces: Vec<(LinkType, u16)>,
    /// The block at hand.
    block: Vec<u8>,
}

impl PacketFile {
    /// A file that will have this path and at most this many bytes of packets. Nothing is opened yet.
    pub(super) fn new(path: PathBuf, most: u64) -> Self {
        let [openings, first, older, newer] =
            ["openings", "first", "older", "newer"].map(|part| Segment::new(part_of(&path, part)));
        let bound = Bound::new(most);
        let opened = Amount::default();
        Self { path, bound, openings, opened, first, older, newer, interfaces: Vec::new(), block: Vec::new() }
    }

    /// The final path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is kept of the packets.
    pub(super) fn bound(&self) -> &Bound {
        &self.bound
    }

    /// What is kept of the first packets of older connections.
    pub(super) fn openings(&self) -> Amount {
        self.opened
    }

    /// The bytes of all packets that are kept.
    pub(super) fn bytes(&self) -> u64 {
        self.bound.kept().bytes + self.opened.bytes
    }

    /// Gathers the first packets of a connection that is older than the file's packets. Returns the bytes by which the memory has
    /// grown, or `None` if there is no room for them.
    pub(super) fn take_opening(&mut self, packets: &[Packet<'_>]) -> Option<usize> {
        let most = (self.bound.most() / 8).min(MOST_OPENINGS) - self.opened.bytes;
        let mut blocks = Vec::new();
        for packet in packets {
            self.make_block(packet);
            blocks.extend_from_slice(&self.block);
        }
        if blocks.len() as u64 > most {
            return None;
        }
        self.opened = Amount {
            packets: self.opened.packets + packets.len() as u64,
            bytes: self.opened.bytes + blocks.len() as u64,
        };
        self.openings.bytes.extend_from_slice(&blocks);
        Some(blocks.len())
    }

    /// Makes the block of a packet.
    fn make_block(&mut self, packet: &Packet<'_>) {
        let kind = (packet.link_type, packet.interface);
        let interface = self.interfaces.iter().position(|known| *known == kind).unwrap_or_else(|| {
            self.interfaces.push(kind);
            self.interfaces.len() - 1
        });
        self.block.clear();
        pcapng::write_packet(&mut self.block, interface as u32, packet);
    }

    /// Gathers a packet. Returns the bytes by which the memory has grown.
    pub(super) fn take(&mut self, packet: &Packet<'_>) -> usize {
        self.make_block(packet);
        let place = self.bound.place(self.block.len() as u64);
        let segment = match place {
            Place::First => &mut self.first,
            Place::Last => &mut self.newer,
            Place::LastAfterTurn => {
                mem::swap(&mut self.older, &mut self.newer);
                self.newer.clear();
                &mut self.newer
            }
            Place::Nowhere => return 0,
        };
        segment.bytes.extend_from_slice(&self.block);
        self.block.len()
    }

    /// Moves what is gathered from memory to disk.
    ///
    /// # Errors
    ///
    /// A part that cannot be written.
    pub(super) fn spill(&mut self) -> io::Result<()> {
        [&mut self.openings, &mut self.first, &mut self.older, &mut self.newer].into_iter().try_for_each(Segment::spill)
    }

    /// Drops what is gathered.
    pub(super) fn clear(&mut self) {
        [&mut self.openings, &mut self.first, &mut self.older, &mut self.newer].into_iter().for_each(Segment::clear);
    }

    /// Writes the file with what is gathered so far, in the place of one that was written before. Returns its size. More
    /// packets may follow, and then the file can be written again.
    ///
    /// # Errors
    ///
    /// A file that cannot be written. Then a file that was there stays as it is.
    pub(super) fn write(&self, comment: &str, interfaces: &Interfaces, with_packets: bool) -> io::Result<u64> {
        let part = part_of(&self.path, "whole");
        let written = self.write_part(&part, comment, interfaces, with_packets);
        if written.is_err() {
            // The error of the write says more than that of the removal.
            let _ = fs::remove_file(&part);
        }
        written
    }

    /// The first packets of older connections, in order of time.
    fn sorted_openings(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.openings.copy_to(&mut bytes)?;
        let mut blocks = pcapng::blocks(&bytes);
        blocks.sort_by_key(|block| pcapng::packet_time(block));
        Ok(blocks.concat())
    }

    fn write_part(&self, part: &Path, comment: &str, known: &Interfaces, with_packets: bool) -> io::Result<u64> {
        let mut out = BufWriter::new(regular::create(part)?);
        let mut header = Vec::new();
        pcapng::write_section(&mut header, comment);
        for (link_type, number) in &self.interfaces {
            let name = known.names.get(usize::from(*number)).cloned();
            let interface = Interface { link_type: *link_type, snap_length: known.snap_length, name };
            pcapng::write_interface(&mut header, &interface);
        }
        out.write_all(&header)?;
        if with_packets {
            out.write_all(&self.sorted_openings()?)?;
            for segment in [&self.first, &self.older, &self.newer] {
                segment.copy_to(&mut out)?;
            }
        }
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_data()?;
        let size = file.metadata()?.len();
        fs::rename(part, &self.path)?;
        Ok(size)
    }
}

/// The path of a part beside the final one. No other process has the same.
fn part_of(path: &Path, part: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.{part}", process::id()))
}

/// Blocks one after the other: first those in a file on disk, then those in memory.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    is_on_disk: bool,
    bytes: Vec<u8>,
}

impl Segment {
    fn new(path: PathBuf) -> Self {
        Self { path, is_on_disk: false, bytes: Vec::new() }
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let mut file = match self.is_on_disk {
            true => OpenOptions::new().append(true).open(&self.path)?,
            false => regular::create(&self.path)?,
        };
        self.is_on_disk = true;
        file.write_all(&self.bytes)?;
        self.bytes = Vec::new();
        Ok(())
    }

    fn copy_to(&self, out: &mut impl Write) -> io::Result<()> {
        if self.is_on_disk {
            io::copy(&mut File::open(&self.path)?, out)?;
        }
        out.write_all(&self.bytes)
    }

    fn clear(&mut self) {
        self.bytes = Vec::new();
        if mem::take(&mut self.is_on_disk) {
            // A part that stays is replaced when it is needed again.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{
        capture::{
            Stamp,
            files::{CaptureSet, FileSettings},
            testing::drain,
        },
        time::Timestamp,
    };

    fn gather(file: &mut PacketFile, numbers: std::ops::Range<u64>, spills: bool) {
        for number in numbers {
            let stamp = Stamp { number, time: Timestamp::from_nanos(number) };
            let link_type = LinkType(if number.is_multiple_of(2) { 1 } else { 101 });
            let data = &[number as u8; 60];
            file.take(&Packet { stamp, link_type, interface: 1, wire_length: 60, data });
            if spills && number.is_multiple_of(7) {
                file.spill().unwrap();
            }
        }
    }

    /// The numbers of the packets in a file.
    fn numbers(path: &Path) -> Vec<u64> {
        let mut set = CaptureSet::open(&[path.to_owned()], FileSettings::default()).unwrap();
        let numbers = drain(&mut set).iter().map(|sample| sample.nanos).collect();
        assert!(set.problems().is_empty(), "{:?}", set.problems());
        numbers
    }

    #[test]
    fn a_file_is_the_same_from_memory_and_from_disk_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let interfaces = Interfaces { names: vec!["lo".into(), "eth1".into()], snap_length: 1_000 };
        let mut bytes = Vec::new();
        for spills in [false, true] {
            let path = folder.path().join("alert.pcapng");
            let mut file = PacketFile::new(path.clone(), 92 * 40);
            gather(&mut file, 1..10, spills);
            file.write("first", &interfaces, true).unwrap();
            assert_eq!(numbers(&path), (1..10).collect::<Vec<_>>());
            gather(&mut file, 10..100, spills);
            let size = file.write("whole", &interfaces, true).unwrap();
            assert_eq!(size, fs::metadata(&path).unwrap().len());
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
            let kept: Vec<u64> = (1..21).chain(81..100).collect();
            assert_eq!(numbers(&path), kept);
            assert_eq!(file.bound().kept().packets, kept.len() as u64);
            bytes.push(fs::read(&path).unwrap());
            drop(file);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no part is left");
        }
        assert!(bytes[0] == bytes[1]);
    }

    #[test]
    fn what_cannot_be_written_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alert.pcapng");
        fs::create_dir(&path).unwrap();
        let file = PacketFile::new(path.clone(), 1_000);
        assert!(file.write("comment", &Interfaces::default(), true).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(path.is_dir());
    }
}

//! Sends captured packets out of an interface, again and again, at a rate.
//!
//! In: captures of Ethernet frames, held in memory. Out: frames on the interface, and what was sent on standard output, as
//! one JSON object. Each round the clients of IPv4 packets get another of 256 networks, so that flows are new ones.
//!
//! `blast INTERFACE SECONDS PACKETS_PER_SECOND CAPTURE...`; rate 0 is as fast as it goes. Needs root.

#![allow(unsafe_code)]

use std::{
    env,
    error::Error,
    ffi::CString,
    io, mem,
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use wirespike::capture::{
    LinkType, PacketBatch,
    files::{CaptureSet, FileSettings, Filled},
};

/// Frames given to the kernel in one call.
const BURST: usize = 64;
/// Last byte of the server's address in the captures; all others are clients.
const SERVER: u8 = 80;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [interface, seconds, rate, captures @ ..] = arguments.as_slice() else {
        eprintln!("usage: blast INTERFACE SECONDS PACKETS_PER_SECOND CAPTURE...");
        return ExitCode::from(2);
    };
    match blast(interface, seconds, rate, captures) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("blast: {error}");
            ExitCode::from(2)
        }
    }
}

fn blast(interface: &str, seconds: &str, rate: &str, captures: &[String]) -> Result<(), Box<dyn Error>> {
    let (seconds, rate): (f64, f64) = (seconds.parse()?, rate.parse()?);
    let mut frames = read(captures)?;
    if frames.is_empty() {
        return Err("no Ethernet frames in the captures".into());
    }
    let sender = Sender::open(interface)?;
    let began = Instant::now();
    let (mut sent, mut bytes, mut refused, mut round) = (0u64, 0u64, 0u64, 0u8);
    while began.elapsed().as_secs_f64() < seconds {
        frames.iter_mut().for_each(|frame| readdress(frame, round));
        round = round.wrapping_add(1);
        for burst in frames.chunks(BURST) {
            if rate > 0.0 {
                wait_until(began, Duration::from_secs_f64((sent + refused) as f64 / rate));
            }
            let taken = sender.send(burst)?;
            sent += taken as u64;
            refused += (burst.len() - taken) as u64;
            bytes += burst[..taken].iter().map(|frame| frame.len() as u64).sum::<u64>();
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{{\"sent\":{sent},\"bytes\":{bytes},\"refused\":{refused},\"seconds\":{seconds:.3}}}");
    Ok(())
}

fn read(captures: &[String]) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut frames = Vec::new();
    for capture in captures {
        let mut set = CaptureSet::open(&[PathBuf::from(capture)], FileSettings::default())?;
        let mut batch = PacketBatch::default();
        while let Filled::Packets = set.fill(&mut batch) {
            let ethernet = batch.packets().filter(|packet| packet.link_type == LinkType::ETHERNET);
            frames.extend(ethernet.map(|packet| packet.data.to_vec()));
        }
    }
    Ok(frames)
}

/// Moves the clients of an IPv4 packet into the round's network.
fn readdress(frame: &mut [u8], round: u8) {
    if frame.len() < 34 || frame[12..14] != [0x08, 0x00] {
        return;
    }
    for address in [26, 30] {
        if frame[address + 3] != SERVER {
            frame[address + 2] = round;
        }
    }
}

fn wait_until(began: Instant, due: Duration) {
    while let Some(left) = due.checked_sub(began.elapsed()) {
        if left > Duration::from_micros(200) {
            thread::sleep(left - Duration::from_micros(100));
        } else {
            std::hint::spin_loop();
        }
    }
}

/// A packet socket.
struct Sender {
    socket: i32,
}

impl Sender {
    fn open(interface: &str) -> Result<Self, Box<dyn Error>> {
        let name = CString::new(interface)?;
        // SAFETY: a NUL-terminated string, alive for the call.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index == 0 {
            return Err(format!("there is no interface {interface}").into());
        }
        // SAFETY: no pointers; all-zero bytes are a valid sockaddr_ll.
        let (socket, mut address) =
            unsafe { (libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0), mem::zeroed::<libc::sockaddr_ll>()) };
        if socket < 0 {
            return Err(io::Error::last_os_error().into());
        }
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_ifindex = index as i32;
        let length = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: a sockaddr_ll, alive for the call, with its own size.
        if unsafe { libc::bind(socket, (&raw const address).cast(), length) } < 0 {
            return Err(io::Error::last_os_error().into());
        }
        Ok(Self { socket })
    }

    /// How many of the frames, at most a burst, the kernel took.
    fn send(&self, frames: &[Vec<u8>]) -> io::Result<usize> {
        // SAFETY: all-zero bytes are valid for both.
        let (mut parts, mut messages) =
            unsafe { (mem::zeroed::<[libc::iovec; BURST]>(), mem::zeroed::<[libc::mmsghdr; BURST]>()) };
        let count = frames.len().min(BURST);
        for ((frame, part), message) in frames.iter().zip(&mut parts).zip(&mut messages) {
            part.iov_base = frame.as_ptr().cast_mut().cast();
            part.iov_len = frame.len();
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: `count` messages, each with one part of a frame that outlives the call; the kernel only reads them.
        match unsafe { libc::sendmmsg(self.socket, messages.as_mut_ptr(), count as u32, 0) } {
            taken @ 0.. => Ok(taken as usize),
            _ => match io::Error::last_os_error() {
                full if full.raw_os_error() == Some(libc::ENOBUFS) => Ok(0),
                error => Err(error),
            },
        }
    }
}

//! Community ID v1: a flow identifier that many tools share.
//!
//! In: the two endpoints of a TCP connection, in either order. Out: `1:` and the base64 of a SHA-1, as the public Community
//! ID specification defines it (seed 0).

use base64::{Engine, engine::general_purpose::STANDARD};

use super::digest::Block;
use crate::address::{Address, Endpoint};

/// The length of a Community ID: the version, a colon, and 28 characters of base64.
pub(crate) const LENGTH: usize = 30;

const TCP: u8 = 6;

/// Returns the Community ID of a TCP connection.
pub(crate) fn community_id(one: Endpoint, other: Endpoint) -> [u8; LENGTH] {
    let (lower, upper) = if one <= other { (one, other) } else { (other, one) };
    let both_v4 = lower.address.is_v4() && upper.address.is_v4();
    let mut block = Block::new();
    // The seed.
    block.push(&[0, 0]);
    push_address(&mut block, lower.address, both_v4);
    push_address(&mut block, upper.address, both_v4);
    block.push(&[TCP, 0]);
    block.push(&lower.port.to_be_bytes());
    block.push(&upper.port.to_be_bytes());
    let digest = block.digest();
    let mut id = [0u8; LENGTH];
    id[..2].copy_from_slice(b"1:");
    // 20 bytes always fill 28 characters exactly.
    let written = STANDARD.encode_slice(digest, &mut id[2..]).unwrap_or(0);
    debug_assert_eq!(written, LENGTH - 2);
    id
}

fn push_address(block: &mut Block, address: Address, v4: bool) {
    let (high, low) = address.halves();
    if v4 {
        block.push(&(low as u32).to_be_bytes());
    } else {
        block.push(&high.to_be_bytes());
        block.push(&low.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(one: &str, other: &str) -> String {
        let endpoint = |text: &str| {
            let socket: std::net::SocketAddr = text.parse().unwrap();
            Endpoint::new(socket.ip().into(), socket.port())
        };
        String::from_utf8(community_id(endpoint(one), endpoint(other)).to_vec()).unwrap()
    }

    #[test]
    fn equals_the_published_baseline() {
        let expected = "1:LQU9qZlK+B5F3KDmev6m5PMibrg=";
        assert_eq!(id("128.232.110.120:34855", "66.35.250.204:80"), expected);
        assert_eq!(id("66.35.250.204:80", "128.232.110.120:34855"), expected);
    }

    #[test]
    fn addresses_of_16_bytes_are_hashed_whole() {
        // The expected value was computed with Python's hashlib.
        let expected = "1:yM4KVbTIx+KCJporWuvukYaLzKY=";
        assert_eq!(id("[fe80::200:86ff:fe05:80da]:35843", "[fe80::260:97ff:fe07:69ea]:22"), expected);
    }
}

//! The classes of targets that were classified shortly before.
//!
//! In: methods and targets. Out: their class. Promises: the class is that of [`telltales::classify`]; a target that came shortly
//! before costs a comparison.

use crate::{
    exchange::Method,
    verdict::telltales::{self, Telltale},
};

/// How many targets are kept.
const PLACES: usize = 256;
/// The longest target that is kept.
const LONGEST: usize = 128;

/// Targets and their classes.
#[derive(Debug)]
pub(super) struct Classes(Vec<(Method, Vec<u8>, Option<Telltale>)>);

impl Default for Classes {
    fn default() -> Self {
        Self(vec![(Method::Unseen, Vec::new(), None); PLACES])
    }
}

impl Classes {
    /// The class of a request.
    pub(super) fn of(&mut self, method: Method, target: &[u8]) -> Option<Telltale> {
        // Targets that a sender makes collide are classified each time, as if none was kept.
        let end = target.last_chunk::<4>().map_or(0, |end| u32::from_le_bytes(*end));
        let mixed = (end ^ target.len() as u32).wrapping_mul(0x9e37_79b1);
        let kept = &mut self.0[(mixed >> 24) as usize % PLACES];
        if kept.0 != method || kept.1 != target {
            let class = telltales::classify(method, target);
            if target.len() > LONGEST {
                return class;
            }
            kept.0 = method;
            kept.1.clear();
            kept.1.extend_from_slice(target);
            kept.2 = class;
        }
        kept.2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_the_targets_in_any_order() {
        let mut classes = Classes::default();
        for round in 0..3 {
            for number in 0..600 {
                let target = format!("/{}/.env{}", number % 7, if number % 3 == round { "" } else { "ironment" });
                for method in [Method::Get, Method::Propfind] {
                    let wanted = telltales::classify(method, target.as_bytes());
                    assert_eq!(classes.of(method, target.as_bytes()), wanted, "{target}");
                }
            }
        }
    }
}

//! Damping of clients that connect again and again (B-069, B-130): so many connects of one id a minute.

use parking_lot::Mutex;
use rollcall_types::{BootTime, ClientId};
use std::collections::HashMap;

/// The window that connects are counted in.
const WINDOW_MS: u64 = 60_000;

/// Client ids counted at most; beyond it those not counted yet pass, since a flood of different ids is no flapping.
const COUNTED_MAX: usize = 100_000;

/// Counts the connects of each client id in the present window.
#[derive(Debug, Default)]
pub(crate) struct Damping {
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    began: BootTime,
    connects: HashMap<ClientId, u32>,
}

impl Damping {
    /// May this client id connect now? `most` connects a minute; 0 = off.
    pub(crate) fn admit(&self, client_id: &ClientId, most: u32, now: BootTime) -> bool {
        if most == 0 {
            return true;
        }
        let mut window = self.window.lock();
        if now.since(window.began) >= WINDOW_MS {
            window.began = now;
            window.connects = HashMap::new();
        }
        if let Some(connects) = window.connects.get_mut(client_id) {
            *connects = connects.saturating_add(1);
            return *connects <= most;
        }
        if window.connects.len() < COUNTED_MAX {
            window.connects.insert(client_id.clone(), 1);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b_130_one_id_is_damped_and_others_are_not() {
        let damping = Damping::default();
        let (a, b) = (ClientId::new("a").unwrap(), ClientId::new("b").unwrap());
        let at = |ms: u64| BootTime(1_000_000 + ms);
        assert!(damping.admit(&a, 2, at(0)) && damping.admit(&a, 2, at(1)));
        assert!(!damping.admit(&a, 2, at(2)));
        assert!(damping.admit(&b, 2, at(2)));
        assert!(damping.admit(&a, 0, at(2)), "0 = off");
        assert!(damping.admit(&a, 2, at(60_000)), "the next minute");
    }
}

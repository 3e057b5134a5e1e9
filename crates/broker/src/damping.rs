//! Damping of clients that connect again and again (B-069, B-130): so many connects, or takeovers, of one id a minute.

use parking_lot::Mutex;
use rollcall_types::{BootTime, ClientId};
use std::collections::HashMap;

/// The window that connects are counted in.
const WINDOW_MS: u64 = 60_000;

/// Client ids counted at most; beyond it those not counted yet pass, since a flood of different ids is no flapping.
const COUNTED_MAX: usize = 100_000;

/// Counts what each client id does, one kind of thing, in the present window.
#[derive(Debug, Default)]
pub(crate) struct Damping {
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    began: BootTime,
    counts: HashMap<ClientId, u32>,
}

impl Damping {
    /// May this client id do it now? If so or not, it is counted. `most` times a minute; 0 = off.
    pub(crate) fn admit(&self, client_id: &ClientId, most: u32, now: BootTime) -> bool {
        most == 0 || self.present(now, |counts| count(counts, client_id)) <= most
    }

    /// Was it done `most` times in this minute already? Nothing is counted; 0 = off.
    pub(crate) fn is_used_up(&self, client_id: &ClientId, most: u32, now: BootTime) -> bool {
        most != 0 && self.present(now, |counts| counts.get(client_id).copied().unwrap_or(0)) >= most
    }

    fn present<R>(&self, now: BootTime, step: impl FnOnce(&mut HashMap<ClientId, u32>) -> R) -> R {
        let mut window = self.window.lock();
        if now.since(window.began) >= WINDOW_MS {
            window.began = now;
            window.counts = HashMap::new();
        }
        step(&mut window.counts)
    }
}

/// Counts once more; how often that makes it, or 0 where there is no room to count.
fn count(counts: &mut HashMap<ClientId, u32>, client_id: &ClientId) -> u32 {
    if let Some(times) = counts.get_mut(client_id) {
        *times = times.saturating_add(1);
        return *times;
    }
    if counts.len() >= COUNTED_MAX {
        return 0;
    }
    counts.insert(client_id.clone(), 1);
    1
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

    #[test]
    fn what_is_used_up_is_asked_without_being_counted() {
        let damping = Damping::default();
        let (a, now) = (ClientId::new("a").unwrap(), BootTime(1_000_000));
        assert!(!damping.is_used_up(&a, 1, now) && !damping.is_used_up(&a, 1, now));
        assert!(damping.admit(&a, 1, now));
        assert!(damping.is_used_up(&a, 1, now));
        assert!(!damping.is_used_up(&a, 2, now) && !damping.is_used_up(&a, 0, now));
        assert!(!damping.is_used_up(&a, 1, BootTime(1_060_000)), "the next minute");
    }
}

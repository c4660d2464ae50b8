//! How long somebody waits for the answer that their token is wrong, and when an address is not listened to for a while.
//!
//! Plain bookkeeping: times are passed in, and nobody waits here. What always holds:
//!
//! - What counts is *different* wrong tokens of one address. A client whose token was taken back sends the same one for
//!   ever: that is no guessing, and it neither waits longer and longer nor locks out its neighbours.
//! - A lock is of one address (of IPv6 one /64, which is what one customer gets). Whoever is right from elsewhere never
//!   notices. From the locked address itself those go on who were right from there in the last day, and so does the
//!   webhook for webhook tokens: with one of those nobody can do more than propose.
//! - This machine is never locked: a proxy here would make everybody one address.
//! - The table is bounded, and what is oldest goes first. Only so many answers are held back at once; the others go out
//!   at once, so that guessing takes no connections from anybody.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::Timestamp;

/// A person mistypes; the first wrong tokens are answered at once.
const FREE: u32 = 3;
/// After those, doubling.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Clients give up after some seconds, and then the delay delays nobody.
pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(3);
/// So many different wrong tokens lock an address.
const LOCK_AFTER: u32 = 20;
/// How long. With [`LOCK_AFTER`] this leaves a guesser some 25,000 guesses a day and address.
const LOCK: Duration = Duration::from_secs(60);
/// An address that was quiet for so long is as good as new.
const FORGET: Duration = Duration::from_secs(600);
/// How long somebody who was right from an address is not locked out there.
const FAMILIAR: Duration = Duration::from_secs(86_400);
/// A note of that is made anew when it is older than this, and not with each request.
const FAMILIAR_STEP: Duration = Duration::from_secs(60);
/// How many addresses are remembered, and how many that were right: about a MiB.
const KEPT: usize = 4096;
/// How many wrong tokens of one address are remembered to tell repeats by: more than lock it, so that a handful of clients
/// with tokens that were taken back lock nobody out, however often they come.
const REPEATS: usize = 32;
/// How many answers are held back at once: an eighth of one listener's connections.
const HELD_BACK: usize = 64;

/// Enough of a token's hash to tell a repeat by.
type Mark = [u8; 8];

/// Who was wrong lately, and who was right.
#[derive(Debug)]
pub(super) struct Strangers {
    book: Mutex<Book>,
    places: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Book {
    strangers: BTreeMap<IpAddr, Stranger>,
    familiar: BTreeMap<(IpAddr, String), Timestamp>,
}

#[derive(Clone, Debug)]
struct Stranger {
    /// Different wrong tokens; starts at [`FREE`] again after a lock.
    guesses: u32,
    last: Timestamp,
    seen: VecDeque<Mark>,
    locked_until: Option<Timestamp>,
}

/// What a wrong token leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// How long to hold the answer back.
    pub(super) delay: Duration,
    /// The address is locked from now on.
    pub(super) locks: bool,
    /// It is one that was not sent before: worth a line in the log.
    pub(super) is_new: bool,
}

impl Default for Strangers {
    fn default() -> Self {
        Self { book: Mutex::default(), places: Arc::new(Semaphore::new(HELD_BACK)) }
    }
}

impl Strangers {
    /// Somebody at `address` sent a token that nobody has.
    pub(super) fn wrong(&self, address: Option<IpAddr>, hash: &[u8; 32], now: Timestamp) -> Wrong {
        let Some(at) = address.map(whole) else { return Wrong { delay: Duration::ZERO, locks: false, is_new: true } };
        let mark: Mark = std::array::from_fn(|byte| hash[byte]);
        let mut book = self.book();
        book.make_room(at);
        let blank = Stranger { guesses: 0, last: now, seen: VecDeque::new(), locked_until: None };
        let stranger = book.strangers.entry(at).or_insert(blank);
        if now.since(stranger.last) >= FORGET {
            (stranger.guesses, stranger.locked_until) = (0, None);
            stranger.seen.clear();
        }
        stranger.last = now;
        let is_new = !stranger.seen.contains(&mark);
        if is_new {
            stranger.guesses += 1;
            stranger.seen.push_back(mark);
            if stranger.seen.len() > REPEATS {
                stranger.seen.pop_front();
            }
        }
        let locks = stranger.guesses >= LOCK_AFTER && !at.is_loopback();
        let delay = delay(stranger.guesses);
        if locks {
            stranger.guesses = FREE;
            stranger.locked_until = Some(now.plus(LOCK));
        }
        Wrong { delay, locks, is_new }
    }

    /// Whether tokens from `address` are not looked at, unless `name` is known to come from there.
    pub(super) fn is_locked(&self, address: Option<IpAddr>, name: Option<&str>, now: Timestamp) -> bool {
        let Some(at) = address.map(whole) else { return false };
        let book = self.book();
        let until = book.strangers.get(&at).and_then(|stranger| stranger.locked_until);
        let familiar = || {
            let seen = name.and_then(|name| book.familiar.get(&(at, name.to_owned())));
            seen.is_some_and(|seen| now.since(*seen) < FAMILIAR)
        };
        until.is_some_and(|until| now < until) && !familiar()
    }

    /// `name` was right from `address`. True where that is worth noting: at most once a minute.
    pub(super) fn right(&self, address: Option<IpAddr>, name: &str, now: Timestamp) -> bool {
        let Some(at) = address.map(whole) else { return true };
        let key = (at, name.to_owned());
        let mut book = self.book();
        let known = book.familiar.get(&key);
        if known.is_some_and(|seen| now.since(*seen) < FAMILIAR_STEP) {
            return false;
        }
        if known.is_none() && book.familiar.len() >= KEPT {
            let oldest = book.familiar.iter().min_by_key(|(_, seen)| **seen).map(|(key, _)| key.clone());
            oldest.map(|key| book.familiar.remove(&key));
        }
        book.familiar.insert(key, now);
        true
    }

    /// A place to wait in; nothing where so many wait that the next is answered at once.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn make_room(&mut self, at: IpAddr) {
        if self.strangers.len() < KEPT || self.strangers.contains_key(&at) {
            return;
        }
        let oldest = self.strangers.iter().min_by_key(|(_, stranger)| stranger.last).map(|(at, _)| *at);
        oldest.map(|at| self.strangers.remove(&at));
    }
}

fn delay(guesses: u32) -> Duration {
    match guesses.checked_sub(FREE + 1) {
        None => Duration::ZERO,
        Some(doublings) => {
            FIRST_DELAY.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(LONGEST_DELAY)
        }
    }
}

/// What one customer has: an IPv4 address, or an IPv6 network of 64 bits.
fn whole(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn from(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn token(n: u32) -> [u8; 32] {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        hash
    }

    fn guess(strangers: &Strangers, address: &str, tokens: std::ops::Range<u32>, now: Timestamp) -> Vec<Wrong> {
        tokens.map(|n| strangers.wrong(from(address), &token(n), now)).collect()
    }

    #[test]
    fn answers_to_guesses_come_later_and_later_and_then_the_address_is_locked() {
        let strangers = Strangers::default();
        let told = guess(&strangers, "10.0.0.1", 0..LOCK_AFTER, at(1));
        let delays: Vec<u128> = told.iter().map(|wrong| wrong.delay.as_millis()).collect();
        assert_eq!(delays[..9], [0, 0, 0, 100, 200, 400, 800, 1600, 3000]);
        assert!(delays[9..].iter().all(|delay| *delay == 3000));
        assert_eq!(told.iter().position(|wrong| wrong.locks), Some(LOCK_AFTER as usize - 1));
        assert!(strangers.is_locked(from("10.0.0.1"), None, at(1)));
        assert!(strangers.is_locked(from("::ffff:10.0.0.1"), None, at(60)));
        assert!(!strangers.is_locked(from("10.0.0.1"), None, at(61)), "it ends");
        assert!(!strangers.is_locked(from("10.0.0.2"), None, at(1)), "nobody elsewhere notices");
        assert!(guess(&strangers, "10.0.0.1", 100..117, at(62))[16].locks, "the next one comes sooner");
    }

    #[test]
    fn one_wrong_token_sent_for_ever_is_no_guessing() {
        let strangers = Strangers::default();
        for second in 0..1000 {
            let wrong = strangers.wrong(from("10.0.0.1"), &token(7), at(second));
            assert_eq!(wrong, Wrong { delay: Duration::ZERO, locks: false, is_new: second == 0 });
        }
    }

    #[test]
    fn who_was_right_from_an_address_is_not_locked_out_there() {
        let strangers = Strangers::default();
        assert!(strangers.right(from("10.0.0.1"), "ann", at(0)));
        assert!(!strangers.right(from("10.0.0.1"), "ann", at(59)), "not noted with each request");
        guess(&strangers, "10.0.0.1", 0..LOCK_AFTER, at(60));
        let is_locked = |name, now| strangers.is_locked(from("10.0.0.1"), name, at(now));
        assert!(!is_locked(Some("ann"), 61));
        assert!(is_locked(Some("bob"), 61) && is_locked(None, 61));
        guess(&strangers, "10.0.0.1", 100..100 + LOCK_AFTER, at(86_400));
        assert!(is_locked(Some("ann"), 86_401), "a day later nobody is familiar any more");
    }

    #[test]
    fn this_machine_and_socket_files_are_never_locked() {
        let strangers = Strangers::default();
        for address in ["127.0.0.1", "::1"] {
            assert!(guess(&strangers, address, 0..100, at(1)).iter().all(|wrong| !wrong.locks));
            assert!(!strangers.is_locked(from(address), None, at(1)));
        }
        assert_eq!(strangers.wrong(None, &token(1), at(1)).delay, Duration::ZERO);
    }

    #[test]
    fn an_ipv6_customer_is_one_and_a_quiet_address_is_forgotten() {
        let strangers = Strangers::default();
        for n in 0..LOCK_AFTER {
            strangers.wrong(from(&format!("2001:db8::{n:x}")), &token(n), at(1));
        }
        assert!(strangers.is_locked(from("2001:db8::ffff"), None, at(2)));
        assert!(!strangers.is_locked(from("2001:db8:0:1::1"), None, at(2)));
        guess(&strangers, "10.0.0.1", 0..10, at(1));
        assert_eq!(guess(&strangers, "10.0.0.1", 10..11, at(601))[0].delay, Duration::ZERO);
    }

    #[test]
    fn the_table_has_an_end_and_the_oldest_goes() {
        let strangers = Strangers::default();
        for n in 0..u32::try_from(KEPT).unwrap() + 100 {
            let address = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            strangers.wrong(Some(address), &token(n), at(i64::from(n)));
            strangers.right(Some(address), "ann", at(i64::from(n)));
        }
        let book = strangers.book();
        assert_eq!((book.strangers.len(), book.familiar.len()), (KEPT, KEPT));
        assert!(!book.strangers.contains_key(&"10.0.0.99".parse::<IpAddr>().unwrap()));
        assert!(book.strangers.contains_key(&"10.0.0.100".parse::<IpAddr>().unwrap()));
    }

    #[test]
    fn only_so_many_answers_are_held_back() {
        let strangers = Strangers::default();
        let held: Vec<_> = (0..HELD_BACK).map(|_| strangers.place().unwrap()).collect();
        assert!(strangers.place().is_none());
        drop(held);
        assert!(strangers.place().is_some());
    }
}

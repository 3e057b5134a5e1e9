//! The questions of one worker thread: asked together with others, answered many at a time. A wake-up from another
//! thread costs more than the rest of an answer, so the store sends one message for all answers that come at once, and
//! this worker hands them out to its own requests without leaving its thread.

use actix_web::rt;
use rollcall_contracts::{PresenceStore, StatusAnswer, StatusError, StatusInbox};
use rollcall_types::ClientId;
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

/// How often questions are looked through whose time is over.
const SWEEP_EVERY: Duration = Duration::from_millis(20);
/// Most messages that wait for the worker.
const MESSAGES_MAX: usize = 65_536;

type Answer = Result<StatusAnswer, StatusError>;
type Answers = Vec<(u64, Answer)>;
type Waiting = Rc<RefCell<HashMap<u64, (Instant, oneshot::Sender<Answer>)>>>;

/// One for each worker.
pub(crate) struct Desk {
    presence: Arc<dyn PresenceStore>,
    inbox: Arc<dyn StatusInbox>,
    waiting: Waiting,
    next: Cell<u64>,
    handing_out: rt::task::JoinHandle<()>,
}

/// The way from any thread to the worker. Every message answers questions that wait, so it holds no more than there are
/// connections.
struct Inbox(mpsc::Sender<Answers>);

impl StatusInbox for Inbox {
    fn answers(&self, answers: Answers) {
        // An error means that the worker has ended, and its requests with it; or that it stands still, and they end at
        // their deadline.
        let _ = self.0.try_send(answers);
    }
}

impl Desk {
    /// Opens a desk on this worker's thread.
    pub(crate) fn open(presence: Arc<dyn PresenceStore>) -> Desk {
        let (inbox, answers) = mpsc::channel(MESSAGES_MAX);
        let waiting = Waiting::default();
        let handing_out = rt::spawn(hand_out(Rc::clone(&waiting), answers));
        Desk { presence, inbox: Arc::new(Inbox(inbox)), waiting, next: Cell::new(0), handing_out }
    }

    /// A linearizable answer, or the reason why there is none.
    pub(crate) async fn status(&self, client_id: ClientId) -> Answer {
        let ticket = self.next.get();
        self.next.set(ticket.wrapping_add(1));
        let (reply, answer) = oneshot::channel();
        // Entered first: the answer may come before the call returns.
        let far = Instant::now() + Duration::from_secs(60);
        self.waiting.borrow_mut().insert(ticket, (far, reply));
        let _entry = Entry { waiting: &self.waiting, ticket };
        match self.presence.ask(&client_id, ticket, &self.inbox) {
            None => self.presence.status(client_id).await,
            Some(until) => {
                if let Some((deadline, _)) = self.waiting.borrow_mut().get_mut(&ticket) {
                    *deadline = until;
                }
                answer.await.unwrap_or(Err(StatusError::NotReady))
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.handing_out.abort();
    }
}

/// Leaves nothing behind when a request is given up.
struct Entry<'a> {
    waiting: &'a Waiting,
    ticket: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.waiting.borrow_mut().remove(&self.ticket);
    }
}

async fn hand_out(waiting: Waiting, mut answers: mpsc::Receiver<Answers>) {
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            message = answers.recv() => {
                let Some(message) = message else { return };
                let mut waiting = waiting.borrow_mut();
                for (ticket, answer) in message {
                    if let Some((_, reply)) = waiting.remove(&ticket) {
                        let _ = reply.send(answer);
                    }
                }
            }
            _ = sweep.tick() => {
                let now = Instant::now();
                let mut waiting = waiting.borrow_mut();
                let over: Vec<u64> = waiting.iter().filter(|(_, (until, _))| *until <= now).map(|(t, _)| *t).collect();
                for ticket in over {
                    if let Some((_, reply)) = waiting.remove(&ticket) {
                        let _ = reply.send(Err(StatusError::NoQuorum));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use async_trait::async_trait;
    use parking_lot::Mutex;
    use rollcall_contracts::{ClaimError, ClaimGranted};
    use rollcall_presence::ClaimDetails;
    use rollcall_types::{DisconnectReason, Epoch, LogIndex, PartitionId};

    type Asked = (u64, Arc<dyn StatusInbox>);

    /// Keeps what it is asked; the test answers.
    #[derive(Default)]
    struct Held {
        asked: Mutex<Vec<Asked>>,
        patience: Duration,
    }

    #[async_trait]
    impl PresenceStore for Held {
        async fn claim(&self, _: ClaimDetails) -> Result<ClaimGranted, ClaimError> {
            Err(ClaimError::NotServing)
        }
        fn release(&self, _: ClientId, _: Epoch, _: DisconnectReason) {}
        async fn kick(&self, _: ClientId) -> Result<bool, ClaimError> {
            Err(ClaimError::NotServing)
        }
        async fn status(&self, _: ClientId) -> Answer {
            Err(StatusError::NotReady)
        }
        fn ask(&self, _: &ClientId, ticket: u64, inbox: &Arc<dyn StatusInbox>) -> Option<Instant> {
            self.asked.lock().push((ticket, Arc::clone(inbox)));
            Some(Instant::now() + self.patience)
        }
        async fn released(&self, _: Duration) -> bool {
            true
        }
    }

    fn answer(index: u64) -> StatusAnswer {
        StatusAnswer { online: true, partition: PartitionId(0), index: LogIndex(index), epoch: None, node: None }
    }

    fn on_a_worker<F: Future<Output = ()>>(test: F) {
        actix_web::rt::System::new().block_on(test);
    }

    #[test]
    fn each_question_gets_its_own_answer_out_of_one_message() {
        on_a_worker(async {
            let store = Arc::new(Held { patience: Duration::from_secs(60), ..Held::default() });
            let desk = Desk::open(store.clone());
            let id = ClientId::new("a").unwrap();
            let answering = async {
                while store.asked.lock().len() < 2 {
                    rt::task::yield_now().await;
                }
                let asked = std::mem::take(&mut *store.asked.lock());
                let answers = asked.iter().rev().map(|(ticket, _)| (*ticket, Ok(answer(*ticket + 100)))).collect();
                asked[0].1.answers(answers);
            };
            let (first, second, ()) = tokio::join!(desk.status(id.clone()), desk.status(id), answering);
            assert_eq!((first.unwrap().index, second.unwrap().index), (LogIndex(100), LogIndex(101)));
            assert!(desk.waiting.borrow().is_empty());
        });
    }

    #[test]
    fn a_question_without_an_answer_ends_at_its_deadline_and_a_late_answer_counts_no_more() {
        on_a_worker(async {
            let store = Arc::new(Held { patience: Duration::from_millis(30), ..Held::default() });
            let desk = Desk::open(store.clone());
            assert_eq!(desk.status(ClientId::new("a").unwrap()).await, Err(StatusError::NoQuorum));
            let (ticket, inbox) = store.asked.lock().pop().unwrap();
            inbox.answers(vec![(ticket, Ok(answer(1)))]);
            assert!(desk.waiting.borrow().is_empty());
        });
    }

    #[test]
    fn a_request_that_is_given_up_leaves_nothing_behind() {
        on_a_worker(async {
            let store = Arc::new(Held { patience: Duration::from_secs(60), ..Held::default() });
            let desk = Desk::open(store);
            let given_up = tokio::time::timeout(Duration::from_millis(1), desk.status(ClientId::new("a").unwrap()));
            assert!(given_up.await.is_err());
            assert!(desk.waiting.borrow().is_empty());
        });
    }
}

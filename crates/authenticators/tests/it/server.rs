//! An HTTP server that answers as a test says: rightly, late, never, elsewhere, or with nonsense.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

/// The next answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Status and body, as JSON.
    Json(u16, String),
    /// The whole answer, byte by byte.
    Raw(Vec<u8>),
    /// The same after a while.
    After(Duration, String),
    /// Nothing, for as long as the client waits.
    Silence,
    /// The connection is closed instead.
    HangUp,
}

/// Requests that are not answered.
#[derive(Default)]
struct UnderWay {
    now: AtomicUsize,
    most: AtomicUsize,
}

struct One(Arc<UnderWay>);

impl UnderWay {
    fn one(self: &Arc<Self>) -> One {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        One(self.clone())
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A server on loopback; it ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<Mutex<Vec<String>>>,
    under_way: Arc<UnderWay>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(answer: Answer) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, requests) = (Arc::new(Mutex::new(answer)), Arc::<Mutex<Vec<String>>>::default());
        let mut tasks = JoinSet::new();
        let under_way = Arc::<UnderWay>::default();
        let (shared, noted, counted) = (answer.clone(), requests.clone(), under_way.clone());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, shared.clone(), noted.clone(), counted.clone()));
            }
        });
        Server { address, answer, requests, under_way, _tasks: tasks }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Most requests that were under way at a time.
    pub(crate) fn most_at_once(&self) -> usize {
        self.under_way.most.load(Ordering::SeqCst)
    }

    /// What was asked so far, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<Mutex<Vec<String>>>,
    under_way: Arc<UnderWay>,
) {
    while let Some(request) = request(&mut stream).await {
        let one = under_way.one();
        requests.lock().unwrap().push(request);
        let answer = answer.lock().unwrap().clone();
        let bytes = match answer {
            Answer::Json(status, body) => json(status, &body),
            Answer::Raw(bytes) => bytes,
            Answer::After(late, body) => {
                sleep(late).await;
                json(200, &body)
            }
            // Until the client gives up.
            Answer::Silence => {
                let _gone = stream.read_u8().await;
                return;
            }
            Answer::HangUp => return,
        };
        drop(one);
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

fn json(status: u16, body: &str) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    (head + body).into_bytes()
}

async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let head = loop {
        if let Some(end) = read.windows(4).position(|part| part == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&read[..head]).to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    while read.len() < head + length {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8(read).unwrap())
}

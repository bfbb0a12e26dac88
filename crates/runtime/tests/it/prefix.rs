//! A graceful stop in the middle of everything.

use crate::world::{World, connector, within};
use async_tungstenite::{
    WebSocketStream,
    tokio::{TokioAdapter, client_async},
    tungstenite::Message,
};
use futures_util::{StreamExt, future::join_all};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::net::{TcpSocket, TcpStream};

const SENDERS: u64 = 16;

type Ws = WebSocketStream<TokioAdapter<TcpStream>>;

/// Connects as soon as the server listens.
async fn connect(address: std::net::SocketAddr) -> Ws {
    let tcp = within(async {
        loop {
            if let Ok(tcp) = TcpStream::connect(address).await {
                return tcp;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    within(client_async(format!("ws://{address}/"), tcp)).await.unwrap().0
}

/// Sends numbers as fast as it can until the connection ends; gives how many came back. Echoes come in order.
async fn sender(mut ws: Ws, number: u64, echoes: Arc<AtomicU64>) -> u64 {
    let (mut sent, mut echoed) = (0_u64, 0);
    loop {
        // A window of 32: some are always under way.
        while sent < echoed + 32 {
            if ws.send(Message::text(format!("[{number},{sent}]"))).await.is_err() {
                break;
            }
            sent += 1;
        }
        match within(ws.next()).await {
            Some(Ok(Message::Text(text))) => {
                assert_eq!(text.as_str(), format!("[{number},{echoed}]"));
                echoed += 1;
                echoes.fetch_add(1, Ordering::SeqCst);
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return echoed,
        }
    }
}

/// For each connection the file holds a gapless prefix of what was sent, at least as long as what came back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_holds_a_gapless_prefix_of_every_sender() {
    for moment in [1, 500, 3000] {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("out.json");
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let world = World::with(&format!(
            "{}{}
            create pipeline echo from pipelines::passthrough;
            connect /connector/server to /pipeline/echo;
            connect /pipeline/echo to /connector/file;
            connect /pipeline/echo to /connector/server;",
            connector("server", "ws_server", &format!(r#"{{"url": "{address}"}}"#)),
            connector("file", "file", &format!(r#"{{"path": "{}", "mode": "truncate"}}"#, file.display()))
                .replace("config", "postprocessors = [\"separate\"], config"),
        ));
        let echoes = Arc::new(AtomicU64::new(0));
        let connections = join_all((0..SENDERS).map(|_| connect(address))).await;
        let senders: Vec<_> = (0..SENDERS)
            .zip(connections)
            .map(|(number, ws)| tokio::spawn(sender(ws, number, echoes.clone())))
            .collect();
        world.until(|_| echoes.load(Ordering::SeqCst) >= moment).await;
        world.end().await;
        let echoed = join_all(senders).await;
        let mut written: BTreeMap<u64, u64> = BTreeMap::new();
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let (sender, number) =
                line.trim_matches(['[', ']']).split_once(',').expect("every line is whole");
            let next = written.entry(sender.parse().unwrap()).or_default();
            assert_eq!(number.parse::<u64>().unwrap(), *next, "a gap in what {sender} sent");
            *next += 1;
        }
        for (sender, echoed) in (0..).zip(echoed) {
            let written = written.get(&sender).copied().unwrap_or_default();
            assert!(written >= echoed.unwrap(), "sender {sender} saw more than {written} echoes");
        }
    }
}

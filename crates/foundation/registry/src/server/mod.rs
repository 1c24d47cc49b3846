//! In: a content store and an address. Out: a distribution registry there. Never: a blob under a wrong digest, an open port behind a server that was stopped.
//!
//! For tests, for `crossdock registry serve`, and for engines beside us that pull what was built here. It speaks the
//! parts of the distribution-spec that clients use: pull, push (in pieces or at once), mount, ranges, tags, delete.
//! How repositories lie in the store: [`shelf`].

mod answer;
mod blobs;
mod connection;
pub mod faults;
mod login;
mod manifests;
mod route;
pub mod shelf;
mod uploads;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use crossdock_content::{Lease, Store};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::RegistryError;
use answer::{Refusal, as_response};
use connection::{Connection, Guarding};
use faults::Faults;
pub use login::BasicLogin;
use route::{Query, Route};
use uploads::Uploads;

/// Threads that serve.
const SERVER_THREADS: usize = 2;
/// How long a stopping server waits for requests under way.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// What a server is started with.
pub struct ServerOptions {
    /// Where the blobs and rows are.
    pub store: Store,
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// The one user let in; everybody when `None`.
    pub login: Option<BasicLogin>,
    /// Misbehaviour for tests.
    pub faults: Option<Faults>,
    /// Only this repository is there, and only for reading; nothing tells its name.
    pub only: Option<String>,
}

impl ServerOptions {
    /// A server on a free port of loopback that lets everybody in.
    pub fn local(store: Store) -> Self {
        Self { store, address: SocketAddr::from(([127, 0, 0, 1], 0)), login: None, faults: None, only: None }
    }
}

/// A running server; dropped, it stops.
pub struct Server {
    address: SocketAddr,
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    stopped: Option<std::sync::mpsc::Receiver<()>>,
    requests: Arc<AtomicU64>,
}

/// What all requests share.
struct Shared {
    store: Store,
    /// Covers every blob from its arrival to the row that links to it.
    lease: Lease,
    uploads: Uploads,
    login: Option<BasicLogin>,
    faults: Option<Faults>,
    only: Option<String>,
    requests: Arc<AtomicU64>,
}

impl Server {
    /// Listens and serves from threads of its own. Returns when connections are accepted.
    ///
    /// # Errors
    /// [`RegistryError::Bind`] when the address cannot be had or the store gives no lease.
    pub fn start(options: ServerOptions) -> Result<Self, RegistryError> {
        let bind = |source: std::io::Error| RegistryError::Bind { address: options.address.to_string(), source };
        let listener = TcpListener::bind(options.address).map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let lease = options.store.lease().map_err(|error| bind(error.into()))?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(SERVER_THREADS)
            .thread_name("registry-server")
            .enable_all()
            .build()
            .map_err(RegistryError::Runtime)?;
        let listener = {
            let _inside = runtime.enter();
            Guarding::new(tokio::net::TcpListener::from_std(listener).map_err(bind)?)
        };
        let requests = Arc::new(AtomicU64::new(0));
        let shared = Arc::new(Shared {
            store: options.store,
            lease,
            uploads: Uploads::default(),
            login: options.login,
            faults: options.faults,
            only: options.only,
            requests: Arc::clone(&requests),
        });
        let service = Router::new()
            .fallback(serve_request)
            .with_state(shared)
            .into_make_service_with_connect_info::<Connection>();
        let (stop, stopping) = oneshot::channel::<()>();
        let (report, stopped) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let until = async move {
                // A sender that was dropped stops the server, too.
                let _ = stopping.await;
            };
            let _ = axum::serve(listener, service).with_graceful_shutdown(until).await;
            let _ = report.send(());
        });
        Ok(Self { address, runtime: Some(runtime), stop: Some(stop), stopped: Some(stopped), requests })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `127.0.0.1:4711`, as it stands in references.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Requests that came in so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Tells how many requests came in, from any thread.
    pub fn requests_counter(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let requests = Arc::clone(&self.requests);
        move || requests.load(Ordering::Relaxed)
    }

    /// Ends requests under way within a few seconds, and the server.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(stopped) = self.stopped.take() {
            let _ = stopped.recv_timeout(STOP_TIMEOUT);
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

async fn serve_request(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let Some(faults) = shared.faults.clone() else { return answer_request(&shared, request).await };
    let turn = faults.begin(&request, &connection);
    let request = match turn.before(request).await {
        Ok(request) => request,
        Err(response) => return turn.end(response),
    };
    let response = answer_request(&shared, request).await;
    turn.after(response)
}

async fn answer_request(shared: &Shared, request: Request) -> Response {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    if let Some(login) = &shared.login
        && !login.accepts(request.headers())
    {
        return login.challenge();
    }
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let outcome = match Route::parse(request.uri().path()) {
        Some(route) if !shared.shows(&route, request.method().as_str()) => Err(Refusal::not_found()),
        Some(route) => dispatch(shared, route, &query, request).await,
        None => Err(Refusal::not_found()),
    };
    as_response(outcome)
}

impl Shared {
    /// Whether a server of one repository answers this at all.
    fn shows(&self, route: &Route, method: &str) -> bool {
        let Some(only) = &self.only else { return true };
        matches!(method, "GET" | "HEAD")
            && (*route == Route::Base || route.name().is_some_and(|name| name == only.as_str()))
    }
}

async fn dispatch(shared: &Shared, route: Route, query: &Query, request: Request) -> Result<Response, Refusal> {
    let method = request.method().as_str().to_owned();
    match (method.as_str(), route) {
        ("GET" | "HEAD", Route::Base) => Ok(answer::base()),
        ("GET", Route::Catalog) => shared.catalog(query),
        ("GET", Route::Tags { name }) => shared.tags(&name, query),
        ("GET" | "HEAD", Route::Manifest { name, reference }) => shared.get_manifest(&name, &reference, &method),
        ("PUT", Route::Manifest { name, reference }) => shared.put_manifest(&name, &reference, request).await,
        ("DELETE", Route::Manifest { name, reference }) => shared.delete_manifest(&name, &reference),
        ("GET" | "HEAD", Route::Blob { name, digest }) => shared.get_blob(&name, digest, &request),
        ("DELETE", Route::Blob { name, digest }) => shared.delete_blob(&name, digest),
        ("POST", Route::Uploads { name }) => shared.begin_upload(&name, query, request).await,
        ("GET", Route::Upload { name, id }) => shared.upload_status(&name, &id),
        ("PATCH", Route::Upload { name, id }) => shared.append_upload(&name, &id, request).await,
        ("PUT", Route::Upload { name, id }) => shared.finish_upload(&name, &id, query, request).await,
        ("DELETE", Route::Upload { name, id }) => shared.cancel_upload(&name, &id),
        _ => Err(Refusal::unsupported()),
    }
}

/// Runs what blocks (files, database) on a thread of the server, telling the runtime so.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

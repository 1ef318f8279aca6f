//! `qinglan serve`: a run in the browser while it goes on, or its report.
//!
//! | path | what it is |
//! |---|---|
//! | `/` | the report of a finished run; until then a page that renews itself |
//! | `/state.json` | the run's parts and how far each is |
//! | `/live.js` | what renews the page |
//! | `/PATH` | a file of the run that the report links to, and no other |
//!
//! It reads and never writes, answers GET alone, and only on loopback unless
//! told otherwise. A request must name the server by its address or as
//! localhost, so that no page from elsewhere reaches it under a name of its own
//! (DNS rebinding), and no answer allows another origin to read it.

mod page;

use std::net::{IpAddr, SocketAddr};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Path as Asked, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clap::Args;

use crate::error::as_user_error;
use crate::messages::say;
use crate::runner::live::Live;

/// Shortest time between two looks at the run, however many ask.
const PERIOD: Duration = Duration::from_millis(500);

/// What the live page may load: its own script and state, nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Files that a report may link to, by their endings, and how a browser is told
/// of them. None of them is run in the server's name.
const KINDS: [(&str, &str); 6] = [
    ("csv", "text/csv; charset=utf-8"),
    ("json", "application/json"),
    ("md", "text/plain; charset=utf-8"),
    ("parquet", "application/vnd.apache.parquet"),
    ("tex", "text/plain; charset=utf-8"),
    ("txt", "text/plain; charset=utf-8"),
];

/// Arguments of `qinglan serve`.
#[derive(Args)]
pub(super) struct Serve {
    /// Run directory; it may begin later.
    run: PathBuf,
    /// Where to listen; 0 takes any port that is free.
    #[arg(long, value_name = "N", default_value_t = 8317)]
    port: u16,
    /// The address to listen on; any but loopback shows the run to the network.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
}

impl Serve {
    pub(super) fn execute(self) -> Result<()> {
        if self.run.is_dir() {
            as_user_error(empty_or_run(&self.run))?;
        }
        let site = Arc::new(Site {
            folder: self.run,
            seen: Mutex::new(Seen::default()),
        });
        let address = SocketAddr::new(self.host, self.port);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("starting the server")?;
        runtime.block_on(async {
            let bound = tokio::net::TcpListener::bind(address).await;
            let bound =
                bound.with_context(|| format!("listening on {address}; choose another --port"));
            let listener = as_user_error(bound)?;
            let address = listener.local_addr().context("asking for the port")?;
            if !address.ip().is_loopback() {
                say!("whoever reaches {address} can read the run");
            }
            println!("http://{address}/");
            axum::serve(listener, router(site)).await.context("serving")
        })
    }
}

/// A folder that holds something else is a mistake; one where nothing is yet is not.
fn empty_or_run(folder: &Path) -> Result<()> {
    let mut entries =
        std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    if entries.next().is_some() {
        Live::of(folder)?;
    }
    Ok(())
}

/// The run that is shown, and what was last seen of it.
struct Site {
    folder: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    live: Option<Live>,
    looked: Option<Instant>,
    /// Why there is nothing newer.
    fault: Option<String>,
}

impl Site {
    /// Hands over the run as it stands; `None` where it has not begun.
    fn with<T>(&self, show: impl FnOnce(Option<&Live>, Option<&str>) -> T) -> T {
        // What a panic left is looked at anew like anything else.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.looked.is_none_or(|looked| looked.elapsed() >= PERIOD) {
            let there = self.folder.join("definition.toml").exists();
            let looked = match &mut seen.live {
                Some(live) => live.look(),
                None if there => Live::of(&self.folder).map(|live| seen.live = Some(live)),
                None => Ok(()),
            };
            seen.fault = looked.err().map(|error| format!("{error:#}"));
            seen.looked = Some(Instant::now());
        }
        show(seen.live.as_ref(), seen.fault.as_deref())
    }

    /// The report, once it is written.
    fn report(&self) -> Option<PathBuf> {
        self.with(|live, _| live?.report())
    }
}

fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(first))
        .route("/state.json", get(state))
        .route("/live.js", get(script))
        .route("/{*path}", get(file))
        .layer(middleware::from_fn(guard))
        .with_state(site)
}

/// Refuses what is not a plain question of this machine's, and tells browsers
/// to be as strict with the answer.
async fn guard(request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, "this server only shows\n").into_response();
    }
    if !is_ours(request.headers()) {
        let said = "ask for this server by its address or as localhost\n";
        return (StatusCode::FORBIDDEN, said).into_response();
    }
    let mut response = next.run(request).await;
    let always: [(HeaderName, &'static str); 4] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in always {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether the request names the server by an address or as localhost.
fn is_ours(headers: &HeaderMap) -> bool {
    let Some(Ok(host)) = headers.get(header::HOST).map(HeaderValue::to_str) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    name.eq_ignore_ascii_case("localhost") || bare.unwrap_or(name).parse::<IpAddr>().is_ok()
}

fn html(text: String, policy: Option<&'static str>) -> Response {
    let mut response = ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response();
    if let Some(policy) = policy {
        let policy = HeaderValue::from_static(policy);
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

async fn first(State(site): State<Arc<Site>>) -> Response {
    if let Some(report) = site.report() {
        // It brings its own policy, which lets it load nothing at all.
        return match std::fs::read_to_string(&report) {
            Ok(text) => html(text, None),
            Err(error) => unreadable(&report, &error),
        };
    }
    html(site.with(page::html), Some(POLICY))
}

async fn state(State(site): State<Arc<Site>>) -> Response {
    let text = site.with(page::state).to_string();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn script() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (kind, include_str!("serve/live.js")).into_response()
}

async fn file(State(site): State<Arc<Site>>, Asked(asked): Asked<String>) -> Response {
    let nothing = || (StatusCode::NOT_FOUND, "the report links to no such file\n").into_response();
    let Some((path, kind)) = linked(&site, &asked) else {
        return nothing();
    };
    match std::fs::read(&path) {
        Ok(bytes) => ([(header::CONTENT_TYPE, kind)], bytes).into_response(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => nothing(),
        Err(error) => unreadable(&path, &error),
    }
}

/// The file behind a path that the report links to, within the run and of a
/// kind that is shown.
fn linked(site: &Site, asked: &str) -> Option<(PathBuf, &'static str)> {
    let path = Path::new(asked);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if !path.components().all(plain) {
        return None;
    }
    let ending = path.extension()?.to_str()?;
    let (_, kind) = KINDS.iter().find(|(known, _)| *known == ending)?;
    let report = std::fs::read_to_string(site.report()?).ok()?;
    // Whatever a model wrote has its quotation marks escaped there.
    if !report.contains(&format!(" href=\"{asked}\"")) {
        return None;
    }
    // A link in the run may lead out of it.
    let path = site.folder.join(path).canonicalize().ok()?;
    let within = path.starts_with(site.folder.canonicalize().ok()?);
    within.then_some((path, kind))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Response {
    let said = format!("cannot read {}: {error}\n", path.display());
    (StatusCode::INTERNAL_SERVER_ERROR, said).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_the_server_by_an_address_or_as_localhost() {
        let ours = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                header::HOST,
                HeaderValue::from_str(host).expect("printable"),
            );
            is_ours(&headers)
        };
        for host in [
            "127.0.0.1:8317",
            "127.0.0.1",
            "localhost:1",
            "LocalHost",
            "[::1]:8317",
            "[::1]",
        ] {
            assert!(ours(host), "{host}");
        }
        for host in [
            "evil.example:8317",
            "evil.example",
            "127.0.0.1.evil.example",
            "",
            ":80",
            "a:b:80",
        ] {
            assert!(!ours(host), "{host}");
        }
        assert!(!is_ours(&HeaderMap::new()));
    }
}

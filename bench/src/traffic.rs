//! The requests, as bytes, and the tokens in them.

use sluice_integration::tokens::{Algorithm, Token};

use crate::bootstrap::SERVICE_PATH;
use crate::policies::ORIGIN;

/// How many clients take turns. Each asks less often than [`crate::policies::LIMIT`] allows, however quick the machine is.
pub const CLIENTS: usize = 250;

/// How many tokens take turns where none may be found in a cache: more than any cache in the comparison holds
/// ([`crate::policies::CACHE`]), so that a token has always gone when its turn comes again.
pub const DISTINCT_TOKENS: usize = 4_000;

/// How much a chunk of a streamed body holds.
pub const PART: usize = 4 << 10;

/// The paths of the load: for most of the ten rules one that it allows.
const PATHS: [&str; 8] = [
    "/orders",
    "/orders/1042?expand=lines",
    "/customers/77",
    "/customers/77/addresses",
    "/invoices/2026-11-0042",
    "/stock/9781",
    "/reports/turnover?month=11",
    "/catalog/books?page=3",
];

/// A request that is being written.
pub struct Get {
    path: String,
    client: String,
    further: Vec<(String, String)>,
    parts: Option<usize>,
}

impl Get {
    /// Of that path, from the client `c-0`.
    pub fn path(path: &str) -> Self {
        Self { path: path.to_owned(), client: "c-0".to_owned(), further: Vec::new(), parts: None }
    }

    /// From that client: the header `x-client`.
    pub fn client(mut self, client: &str) -> Self {
        client.clone_into(&mut self.client);
        self
    }

    /// With a further header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.further.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a bearer token.
    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// A POST with a body of so many parts of [`PART`] bytes, in chunks: its length is not declared.
    pub fn streamed(self, parts: usize) -> Self {
        Self { parts: Some(parts), ..self.header("transfer-encoding", "chunked") }
    }

    /// The request in HTTP/1.1, with the headers that a browser's call of an API has.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!(
            "{} {} HTTP/1.1\r\n\
             host: api.example.com\r\n\
             user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0\r\n\
             accept: application/json, text/plain, */*\r\n\
             accept-language: en-GB,en;q=0.8,de;q=0.5\r\n\
             accept-encoding: gzip, deflate, br, zstd\r\n\
             referer: https://shop.example.com/account/orders\r\n\
             cookie: session=c2Vzc2lvbi1vZi1hLWN1c3RvbWVy; theme=dark; consent=necessary\r\n\
             cache-control: no-cache\r\n\
             traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
             sec-fetch-dest: empty\r\n\
             sec-fetch-mode: cors\r\n\
             sec-fetch-site: same-site\r\n\
             x-client: {}\r\n",
            if self.parts.is_some() { "POST" } else { "GET" },
            self.path,
            self.client
        );
        for (name, value) in &self.further {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        if let Some(parts) = self.parts {
            let part = "x".repeat(PART);
            (0..parts).for_each(|_| text.push_str(&format!("{PART:x}\r\n{part}\r\n")));
            text.push_str("0\r\n\r\n");
        }
        text.into_bytes()
    }
}

/// Requests without credentials: every client, every path.
pub fn anonymous() -> Vec<Vec<u8>> {
    (0..CLIENTS).map(|n| Get::path(PATHS[n % PATHS.len()]).client(&format!("c-{n}")).bytes()).collect()
}

/// Requests for the service behind Envoy, from a page of another origin.
pub fn from_a_page() -> Vec<Vec<u8>> {
    let one = |n| Get::path(SERVICE_PATH).client(&format!("c-{n}")).header("origin", ORIGIN).bytes();
    (0..CLIENTS).map(one).collect()
}

/// Requests for the service behind Envoy, each for another path.
pub fn to_the_service() -> Vec<Vec<u8>> {
    (0..CLIENTS)
        .map(|n| Get::path(&format!("{SERVICE_PATH}/{n}")).client(&format!("c-{n}")).bytes())
        .collect()
}

/// Requests for the service behind Envoy, with a body of 16 KiB in four chunks.
pub fn uploads() -> Vec<Vec<u8>> {
    (0..CLIENTS).map(|n| Get::path(SERVICE_PATH).client(&format!("c-{n}")).streamed(4).bytes()).collect()
}

/// Requests that say in a header of which team the caller is.
pub fn teams() -> Vec<Vec<u8>> {
    (0..CLIENTS)
        .map(|n| {
            let request = Get::path(PATHS[n % PATHS.len()]).client(&format!("c-{n}"));
            request.header("x-team", crate::policies::TEAM).bytes()
        })
        .collect()
}

/// Requests of that many users, each with a token of their own.
pub fn users(count: usize) -> Vec<Vec<u8>> {
    tokens(count)
        .iter()
        .enumerate()
        .map(|(n, token)| {
            Get::path(PATHS[n % PATHS.len()]).client(&format!("c-{}", n % CLIENTS)).token(token).bytes()
        })
        .collect()
}

/// A good token of that user.
pub fn token_of(user: &str) -> Token {
    Token::of(user)
        .signed_with(Algorithm::Rs256)
        .expires_in(3600)
        .scope("orders:read invoices:read")
        .roles(&["clerk"])
        .claim("team", crate::policies::TEAM)
        .claim("azp", "shop-web")
}

/// Good tokens of different users; signing takes more than half a millisecond each, so every core signs.
pub fn tokens(count: usize) -> Vec<String> {
    let numbers: Vec<usize> = (0..count).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let sign = |n: &usize| token_of(&format!("user-{n}")).claim("jti", format!("{n:08}")).sign();
    std::thread::scope(|scope| {
        let parts: Vec<_> = numbers
            .chunks(count.div_ceil(cores).max(1))
            .map(|part| scope.spawn(move || part.iter().map(sign).collect::<Vec<_>>()))
            .collect();
        parts.into_iter().flat_map(|part| part.join().expect("signing does not panic")).collect()
    })
}

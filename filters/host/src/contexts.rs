//! proxy-wasm's callbacks, handed on. Nothing is decided here: this is what cannot be tested without a proxy.
//!
//! The SDK finds the context by its id and calls it; a context is dropped in `proxy_on_delete`. `proxy_on_done` is not exported (Envoy
//! then takes a context to be done at once), so that it costs no request anything: what a root context has to do at its end it does
//! when it is dropped.

use crate::plugin::Plugin;
use crate::stream::{Flow, Stream};
use crate::succession;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};
use std::rc::Rc;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|context| {
        let plugin = Rc::new(Plugin::new(context));
        succession::enter(&plugin);
        Box::new(Root(plugin))
    });
}}

struct Root(Rc<Plugin>);

/// Calls that begin while a root context is being called, on its tick.
impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_size: usize, _trailers: usize) {
        self.0.on_http_answer(token, headers, body_size);
    }

    fn on_grpc_call_response(&mut self, token: u32, status: u32, message_size: usize) {
        self.0.on_grpc_answer(token, status, message_size);
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        self.0.on_configure()
    }

    fn on_tick(&mut self) {
        self.0.on_tick();
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        if self.0.is_idle() {
            // Of no size, so that not even memory is asked for.
            Some(Box::new(Bypass))
        } else {
            Some(Box::new(Http(Stream::new(context, Rc::clone(&self.0)))))
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.0.retire();
    }
}

struct Http(Stream);

/// Calls that begin while a stream is being called.
impl Context for Http {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_size: usize, _trailers: usize) {
        self.0.plugin().on_http_answer(token, headers, body_size);
    }

    fn on_grpc_call_response(&mut self, token: u32, status: u32, message_size: usize) {
        self.0.plugin().on_grpc_answer(token, status, message_size);
    }
}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        match self.0.on_request_headers() {
            Flow::Continue => Action::Continue,
            Flow::Pause => Action::Pause,
        }
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        match self.0.on_request_body(size, end_of_stream) {
            Flow::Continue => Action::Continue,
            Flow::Pause => Action::Pause,
        }
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        match self.0.on_request_trailers() {
            Flow::Continue => Action::Continue,
            Flow::Pause => Action::Pause,
        }
    }

    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        self.0.on_response_headers();
        Action::Continue
    }

    fn on_log(&mut self) {
        self.0.on_log();
    }
}

/// A request of a document that decides nothing.
struct Bypass;

impl Context for Bypass {}
impl HttpContext for Bypass {}

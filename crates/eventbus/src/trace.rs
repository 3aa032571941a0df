//! The W3C trace context of a record: `traceparent`, `tracestate` and `baggage`.

use std::collections::BTreeMap;

use opentelemetry::{Context, global};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Headers of the trace that a record belongs to, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceContext(pub BTreeMap<String, String>);

impl TraceContext {
    /// The names of the headers.
    pub const HEADERS: [&'static str; 3] = ["traceparent", "tracestate", "baggage"];

    /// The trace of the code that calls.
    pub fn current() -> Self {
        let mut headers = BTreeMap::new();
        let context = tracing::Span::current().context();
        global::get_text_map_propagator(|it| {
            it.inject_context(&context, &mut Carrier(&mut headers))
        });
        headers.retain(|_, it| !it.is_empty());
        Self(headers)
    }

    /// The trace's id, as far as there is one.
    pub fn id(&self) -> Option<&str> {
        self.0.get("traceparent")?.split('-').nth(1)
    }

    /// Makes `span` a child of this trace.
    pub fn adopt(&self, span: &tracing::Span) {
        if self.0.is_empty() || span.is_disabled() {
            return;
        }
        let mut headers = self.0.clone();
        let context: Context =
            global::get_text_map_propagator(|it| it.extract(&Carrier(&mut headers)));
        // A span that no layer records has no trace to join.
        let _ = span.set_parent(context);
    }
}

struct Carrier<'a>(&'a mut BTreeMap<String, String>);

impl opentelemetry::propagation::Injector for Carrier<'_> {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.to_owned(), value);
    }
}

impl opentelemetry::propagation::Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

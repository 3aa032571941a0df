//! Server-sent events out of the bytes of a stream.

/// Most bytes of an event; a stream with a longer one is none of rssync's.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

/// A stream as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// The beginning of a line.
    open: Vec<u8>,
    event: Event,
    has_data: bool,
    /// The last line ended with a carriage return: a line feed behind it ends no other one.
    after_return: bool,
}

/// Why bytes are no stream of events.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum NoStream {
    #[error("an event of more than {EVENT_BYTES_MAX} bytes")]
    TooLong,
    #[error("a line that is not UTF-8")]
    NoText,
}

impl Parser {
    /// The events that these bytes complete. An event that the stream's end cuts off is none.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Vec<Event>, NoStream> {
        let mut events = Vec::new();
        for &byte in bytes {
            let follows_return = std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if follows_return => {}
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    let line = String::from_utf8(std::mem::take(&mut self.open));
                    events.extend(self.line(&line.map_err(|_| NoStream::NoText)?));
                }
                byte => self.open.push(byte),
            }
            if self.open.len() + self.event.data.len() > EVENT_BYTES_MAX {
                return Err(NoStream::TooLong);
            }
        }
        Ok(events)
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.has_data = true;
                self.event.data.push_str(value);
            }
            // Comments, which keep the connection alive, ids and delays, which rssync does not need.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": alive\n\nevent: job\ndata: {\"a\":\ndata:1}\r\n\r\nid: 7\revent:other\rdata\r\r\n\nevent: é\ndata: é\n\ndata: cut off\n";

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_come_whole_however_the_bytes_are_cut() {
        let wanted = [event("job", "{\"a\":\n1}"), event("other", ""), event("é", "é")];
        let bytes = STREAM.as_bytes();
        for size in 1..=bytes.len() {
            let mut parser = Parser::default();
            let read: Vec<_> = bytes.chunks(size).flat_map(|it| parser.read(it).unwrap()).collect();
            assert_eq!(read, wanted, "in chunks of {size}");
        }
    }

    #[test]
    fn what_is_no_stream_of_events_is_told_of() {
        let long = "x".repeat(EVENT_BYTES_MAX + 1);
        assert_eq!(Parser::default().read(long.as_bytes()), Err(NoStream::TooLong));
        let line = format!("data: {}\n", "x".repeat(1_000));
        let read = Parser::default().read(line.repeat(1_100).as_bytes());
        assert_eq!(read, Err(NoStream::TooLong));
        assert_eq!(Parser::default().read(b"data: \xff\n"), Err(NoStream::NoText));
    }
}

//! The commented defaults of a service as one TOML text: what `--print-defaults` shows.

use crate::settings;

/// A table of a commented TOML text: its header (empty at the top) and its entries, each with the
/// comment lines above it.
struct Section<'a> {
    header: &'a str,
    lead: Vec<&'a str>,
    entries: Vec<Vec<&'a str>>,
}

/// The chassis' defaults with the service's above them: a key that both have is printed once, as
/// the service says it.
pub(crate) fn commented(service_defaults: &str) -> String {
    let mut own = sections(service_defaults);
    let mut shown = Vec::new();
    for mut common in sections(settings::DEFAULTS) {
        if let Some(index) = own.iter().position(|section| section.header == common.header) {
            let section = own.remove(index);
            let names: Vec<_> = section.entries.iter().map(|entry| name(entry)).collect();
            common.entries.retain(|entry| !names.contains(&name(entry)));
            common.entries.extend(section.entries);
            if !section.lead.is_empty() {
                common.lead = section.lead;
            }
        }
        shown.push(common);
    }
    // A top table without a header must stay first.
    let (top, tables): (Vec<_>, Vec<_>) = own.into_iter().partition(|it| it.header.is_empty());
    shown.splice(0..0, top);
    shown.extend(tables);
    let texts: Vec<String> = shown.iter().map(Section::text).filter(|it| !it.is_empty()).collect();
    format!("{}\n", texts.join("\n\n"))
}

impl Section<'_> {
    fn text(&self) -> String {
        let mut lines: Vec<&str> = self.lead.clone();
        if !self.header.is_empty() {
            lines.push(self.header);
        }
        lines.extend(self.entries.iter().flatten());
        lines.join("\n")
    }
}

fn sections(text: &str) -> Vec<Section<'_>> {
    let mut sections = vec![Section { header: "", lead: Vec::new(), entries: Vec::new() }];
    let mut pending: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim_end) {
        let last = sections.last_mut().expect("there is always one");
        if line.starts_with('[') {
            let lead = std::mem::take(&mut pending);
            sections.push(Section { header: line, lead, entries: Vec::new() });
        } else if line.is_empty() {
            // A comment that stands alone belongs to what is above it.
            if !pending.is_empty() {
                last.entries.push(std::mem::take(&mut pending));
            }
        } else if line.starts_with('#') {
            pending.push(line);
        } else if key(line).is_some() {
            let mut entry = std::mem::take(&mut pending);
            entry.push(line);
            last.entries.push(entry);
        } else if let Some(entry) = last.entries.last_mut() {
            // The middle of a value of many lines.
            entry.push(line);
        }
    }
    if let (Some(last), false) = (sections.last_mut(), pending.is_empty()) {
        last.entries.push(pending);
    }
    sections
}

fn key(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    let key = key.trim();
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"');
    (!key.is_empty() && !line.starts_with(char::is_whitespace) && key.chars().all(bare))
        .then_some(key)
}

fn name<'a>(entry: &[&'a str]) -> &'a str {
    entry.iter().find_map(|line| key(line)).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_service_s_value_takes_the_place_of_the_chassis_s() {
        let text = commented(
            "# A number.\nworkers = 2\n\n[admin]\n# Own port.\nlisten = \"127.0.0.1:1\"\n\n# The bus.\n[kafka]\n# Many.\nservers = [\n  \"a\",\n]\n# optional = 1\n",
        );
        let shown: Vec<&str> =
            text.lines().filter(|line| !line.starts_with("# ") || line.len() < 14).collect();
        expect![[r##"
            # A number.
            workers = 2

            [admin]
            address_file = ""
            # Own port.
            listen = "127.0.0.1:1"

            [log]
            format = "human"
            filter = "info"

            [otlp]
            endpoint = ""
            sample_ratio = 1.0

            [shutdown]
            limit_seconds = 40

            # The bus.
            [kafka]
            # Many.
            servers = [
              "a",
            ]"##]]
        .assert_eq(&shown.join("\n"));
        assert!(text.contains("# optional = 1"), "{text}");
        toml::from_str::<toml::Table>(&text).unwrap();
    }
}

//! JSON as `--interactive` shows it: coloured on a terminal, spread over lines on request.

/// Deeper levels are not indented further, so that deep nesting does not fill the screen with blanks.
const MAX_INDENT: usize = 32;

/// How a value looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// One line per member and item.
    pub(super) pretty: bool,
    /// With escape sequences.
    pub(super) color: bool,
}

impl Look {
    /// `json`, which has no white space outside of strings, in this look.
    pub(super) fn dress(self, json: &str) -> String {
        let mut out = String::with_capacity(json.len());
        let mut rest = json;
        let mut depth = 0_usize;
        while let Some(first) = rest.chars().next() {
            let (token, behind) = rest.split_at(token_len(rest, first));
            match first {
                '{' | '[' if behind.starts_with(['}', ']']) => {
                    out.push(first);
                    out.extend(behind.chars().next());
                    rest = behind.get(1..).unwrap_or("");
                    continue;
                }
                '{' | '[' => {
                    depth += 1;
                    out.push(first);
                    self.new_line(&mut out, depth);
                }
                '}' | ']' => {
                    depth = depth.saturating_sub(1);
                    self.new_line(&mut out, depth);
                    out.push(first);
                }
                ',' => {
                    out.push(',');
                    self.new_line(&mut out, depth);
                }
                ':' => out.push_str(if self.pretty { ": " } else { ":" }),
                '"' if behind.starts_with(':') => out.push_str(token),
                '"' => self.paint(&mut out, "32", token),
                _ => self.paint(&mut out, "33", token),
            }
            rest = behind;
        }
        out
    }

    fn new_line(self, out: &mut String, depth: usize) {
        if self.pretty {
            out.push('\n');
            out.push_str(&"  ".repeat(depth.min(MAX_INDENT)));
        }
    }

    fn paint(self, out: &mut String, color: &str, text: &str) {
        if self.color {
            out.extend(["\x1b[", color, "m", text, "\x1b[0m"]);
        } else {
            out.push_str(text);
        }
    }
}

/// Length in bytes of the token that `rest` begins with.
fn token_len(rest: &str, first: char) -> usize {
    match first {
        '"' => {
            let mut escaped = false;
            let end = rest.bytes().enumerate().skip(1).find(|(_, byte)| {
                let ends = *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |(at, _)| at + 1)
        }
        '{' | '}' | '[' | ']' | ',' | ':' => 1,
        _ => rest.find([',', ']', '}']).unwrap_or(rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"a":[1,-2.5,{}],"b":{"c":"x\"},\\","ü":[]},"d":null}"#;

    #[test]
    fn plain_is_what_came_in() {
        for json in [JSON, "", "null", "\"", "[[]]", "{\"a\"", "\"\\\\\""] {
            assert_eq!(Look { pretty: false, color: false }.dress(json), json);
        }
    }

    #[test]
    fn pretty_has_a_line_for_everything() {
        let pretty = Look { pretty: true, color: false }.dress(JSON);
        let expected = r#"{
  "a": [
    1,
    -2.5,
    {}
  ],
  "b": {
    "c": "x\"},\\",
    "ü": []
  },
  "d": null
}"#;
        assert_eq!(pretty, expected);
    }

    #[test]
    fn colour_marks_values_and_no_keys() {
        let painted = Look { pretty: false, color: true }.dress(r#"{"a":["b",1]}"#);
        assert_eq!(painted, "{\"a\":[\x1b[32m\"b\"\x1b[0m,\x1b[33m1\x1b[0m]}");
    }
}

//! Completion by Tab.

use super::commands::WORDS;
use crate::Network;
use crate::script::functions;
use rustyline::Helper;
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;

/// Completes functions of the module, names of nodes, and words.
pub(super) struct Completion(pub Network);

impl Helper for Completion {}
impl Highlighter for Completion {}
impl Hinter for Completion {
    type Hint = String;
}
impl Validator for Completion {}

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..pos).unwrap_or(line);
        Ok(candidates(typed, &self.0))
    }
}

/// Where the word in hand begins, and what it may become.
fn candidates(typed: &str, network: &Network) -> (usize, Vec<String>) {
    let part = |c: char| c.is_alphanumeric() || "_-.:".contains(c);
    let start = typed.trim_end_matches(part).len();
    let word = &typed[start..];
    let quoted = typed[..start].ends_with(['"', '\'']);
    let in_command = typed.trim_start().starts_with(':') && start > 0;
    let all: Vec<String> = if quoted || in_command && !typed.starts_with(":help") {
        let nodes = network.nodes();
        nodes.iter().map(|node| node.name.to_string()).collect()
    } else if word.starts_with(':') {
        WORDS.map(str::to_owned).to_vec()
    } else {
        let functions = functions();
        let prefix = if in_command { "" } else { "tb." };
        functions
            .iter()
            .map(|f| format!("{prefix}{}", f.name))
            .collect()
    };
    (
        start,
        all.into_iter().filter(|c| c.starts_with(word)).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Result;

    #[test]
    fn functions_nodes_and_words_are_completed() -> Result<()> {
        let network = Network::new();
        network.add_sink("printer", crate::sink::Discarder)?;
        let of = |typed: &str| candidates(typed, &network);
        assert_eq!(
            of("x = tb.create_ti"),
            (4, vec!["tb.create_ticker".to_owned()])
        );
        assert_eq!(of("tb.link('a', \"pr"), (14, vec!["printer".to_owned()]));
        assert_eq!(of(":st").1, [":start", ":stop", ":stats"]);
        assert_eq!(of(":tap pr"), (5, vec!["printer".to_owned()]));
        assert_eq!(of(":help create_ti").1, ["create_ticker"]);
        assert_eq!(of("nothing").1, [""; 0]);
        Ok(())
    }
}

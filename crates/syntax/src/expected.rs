//! What the grammar would have accepted, in the words of a user.

use crate::parser::Rule;
use std::collections::BTreeSet;

/// The spelling of a rule that is one fixed token.
pub(crate) fn spelling(rule: Rule) -> Option<&'static str> {
    word(rule).or_else(|| punctuation(rule))
}

fn word(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::kw_absent => "absent",
        Rule::kw_args => "args",
        Rule::kw_as => "as",
        Rule::kw_by => "by",
        Rule::kw_case => "case",
        Rule::kw_connect => "connect",
        Rule::kw_connector => "connector",
        Rule::kw_const => "const",
        Rule::kw_copy => "copy",
        Rule::kw_create => "create",
        Rule::kw_default => "default",
        Rule::kw_define => "define",
        Rule::kw_deploy => "deploy",
        Rule::kw_drop => "drop",
        Rule::kw_each => "each",
        Rule::kw_emit => "emit",
        Rule::kw_end => "end",
        Rule::kw_erase => "erase",
        Rule::kw_event => "event",
        Rule::kw_flow => "flow",
        Rule::kw_fn => "fn",
        Rule::kw_for => "for",
        Rule::kw_from => "from",
        Rule::kw_group => "group",
        Rule::kw_having => "having",
        Rule::kw_insert => "insert",
        Rule::kw_into => "into",
        Rule::kw_intrinsic => "intrinsic",
        Rule::kw_let => "let",
        Rule::kw_match => "match",
        Rule::kw_merge => "merge",
        Rule::kw_move => "move",
        Rule::kw_of => "of",
        Rule::kw_operator => "operator",
        Rule::kw_patch => "patch",
        Rule::kw_pipeline => "pipeline",
        Rule::kw_present => "present",
        Rule::kw_recur => "recur",
        Rule::kw_script => "script",
        Rule::kw_select => "select",
        Rule::kw_set => "set",
        Rule::kw_sliding => "sliding",
        Rule::kw_state => "state",
        Rule::kw_stream => "stream",
        Rule::kw_to => "to",
        Rule::kw_tumbling => "tumbling",
        Rule::kw_update => "update",
        Rule::kw_upsert => "upsert",
        Rule::kw_use => "use",
        Rule::kw_when => "when",
        Rule::kw_where => "where",
        Rule::kw_window => "window",
        Rule::kw_with => "with",
        _ => return None,
    })
}

fn punctuation(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::config => "#!config",
        Rule::semi => ";",
        Rule::comma => ",",
        Rule::dot => ".",
        Rule::colon => ":",
        Rule::colons => "::",
        Rule::slash => "/",
        Rule::dollar => "$",
        Rule::tilde => "~",
        Rule::tilde_eq => "~=",
        Rule::assign => "=",
        Rule::arrow => "=>",
        Rule::underscore => "_",
        Rule::paren_open => "(",
        Rule::paren_close => ")",
        Rule::bracket_open => "[",
        Rule::bracket_close => "]",
        Rule::brace_open => "{",
        Rule::brace_close => "}",
        Rule::interp_open => "#{",
        Rule::record_open => "%{",
        Rule::array_open => "%[",
        Rule::tuple_open => "%(",
        Rule::bytes_open => "<<",
        Rule::bytes_close => ">>",
        _ => return None,
    })
}

/// Tokens and groups of tokens that a rule can begin with.
enum Expected {
    /// Fixed tokens, shown between backquotes.
    Tokens(&'static [&'static str]),
    /// A group in words.
    Words(&'static str),
    /// Not worth telling: older forms and what another entry covers.
    Nothing,
}

fn expected(rule: Rule) -> Expected {
    use Expected::{Nothing, Tokens, Words};
    match rule {
        Rule::port_word | Rule::old_default | Rule::old_direction | Rule::old_name | Rule::old_args => {
            Nothing
        }
        Rule::doc | Rule::doc_comment | Rule::mod_doc | Rule::mod_comment | Rule::EOI => Nothing,
        Rule::ident | Rule::name | Rule::qualified_name | Rule::params | Rule::use_alias => Words("a name"),
        Rule::operator_kind | Rule::bytes_kind | Rule::channel | Rule::test => Words("a name"),
        Rule::use_tree | Rule::arg | Rule::with_entry | Rule::open_params => Words("a name"),
        Rule::string | Rule::heredoc => Words("a string"),
        Rule::entry => Words("a string as key"),
        Rule::int | Rule::bytes_size => Words("an integer"),
        Rule::extractor => Words("an extractor literal such as `|…|`"),
        Rule::dots => Tokens(&["..."]),
        Rule::op_or | Rule::op_xor | Rule::op_and | Rule::op_bitxor | Rule::op_bitand | Rule::op_eq => {
            Words("an operator")
        }
        Rule::op_cmp | Rule::op_shift | Rule::op_add | Rule::op_mul | Rule::fold_op => Words("an operator"),
        Rule::segment => Tokens(&[".", "["]),
        Rule::call_args => Tokens(&["("]),
        Rule::path | Rule::name_or_call => Words("a path"),
        Rule::pattern => Words("a pattern"),
        Rule::element => Words("an element pattern: a value, `_`, `~` or `%{`"),
        Rule::field => Words("a field test"),
        Rule::field_alias => Tokens(&["="]),
        Rule::field_like => Tokens(&["~="]),
        Rule::field_compare => Words("a comparison"),
        Rule::patch_op => Words("an operation such as `insert`"),
        Rule::group => Words("an expression"),
        Rule::items | Rule::item | Rule::stmt | Rule::script | Rule::stmt_arm => Words("a statement"),
        Rule::query | Rule::query_stmt => Tokens(&["create", "define", "select", "use"]),
        Rule::flow_stmt => Tokens(&["connect", "create", "define", "use"]),
        Rule::deployment | Rule::deploy_stmt => Tokens(&["define", "deploy", "use"]),
        Rule::module | Rule::module_item => Tokens(&["const", "define", "fn", "intrinsic", "use"]),
        Rule::directive => Tokens(&["#!config"]),
        Rule::case_head | Rule::match_stmt_clause | Rule::match_expr_clause => Tokens(&["case"]),
        Rule::for_stmt_clause | Rule::for_expr_clause | Rule::fn_case | Rule::fn_default => Tokens(&["case"]),
        Rule::guard => Tokens(&["when"]),
        Rule::fold => Tokens(&["into"]),
        Rule::fn_with | Rule::with => Tokens(&["with"]),
        Rule::fn_of => Tokens(&["of"]),
        Rule::state => Tokens(&["state"]),
        Rule::args => Tokens(&["args"]),
        Rule::section | Rule::main_section => Tokens(&["script"]),
        Rule::window_kind => Tokens(&["tumbling", "sliding"]),
        Rule::query_create_kind => Tokens(&["operator", "pipeline", "script"]),
        Rule::flow_create_kind => Tokens(&["connector", "pipeline"]),
        Rule::from_ports => Tokens(&["from"]),
        Rule::into_ports => Tokens(&["into"]),
        Rule::connector_path | Rule::pipeline_path => Tokens(&["/"]),
        Rule::emit_port => Tokens(&["=>"]),
        Rule::window_list => Tokens(&["["]),
        Rule::where_clause => Tokens(&["where"]),
        Rule::group_by => Tokens(&["group"]),
        Rule::having_clause => Tokens(&["having"]),
        Rule::for_vars => Tokens(&["("]),
        Rule::use_stmt => Tokens(&["use"]),
        Rule::const_def => Tokens(&["const"]),
        Rule::function => Tokens(&["fn"]),
        Rule::intrinsic => Tokens(&["intrinsic"]),
        Rule::let_stmt => Tokens(&["let"]),
        Rule::select => Tokens(&["select"]),
        Rule::deploy => Tokens(&["deploy"]),
        Rule::connect => Tokens(&["connect"]),
        Rule::create_stream | Rule::query_create | Rule::flow_create => Tokens(&["create"]),
        Rule::define_window | Rule::define_operator | Rule::define_script | Rule::define_pipeline => {
            Tokens(&["define"])
        }
        Rule::define_flow | Rule::define_connector => Tokens(&["define"]),
        // Everything else begins an expression.
        _ => Words("an expression"),
    }
}

/// What was expected at one place, sorted.
#[derive(Debug, Default)]
pub(crate) struct ExpectedSet {
    tokens: BTreeSet<&'static str>,
    words: BTreeSet<&'static str>,
}

impl ExpectedSet {
    /// The set for the rules that the parser tried. `closing` may follow the piece of text that was parsed.
    pub(crate) fn new(rules: &[Rule], closing: &[&'static str]) -> Self {
        let mut set = Self::default();
        for rule in rules {
            if *rule == Rule::EOI {
                set.tokens.extend(closing);
            }
            match spelling(*rule).map_or_else(|| expected(*rule), |_| Expected::Nothing) {
                Expected::Tokens(tokens) => set.tokens.extend(tokens),
                Expected::Words(words) => {
                    set.words.insert(words);
                }
                Expected::Nothing => set.tokens.extend(spelling(*rule)),
            }
        }
        if set.words.contains("an expression") {
            // What an expression can begin with needs no mention of its own.
            set.tokens.retain(|token| {
                !matches!(
                    *token,
                    "match"
                        | "for"
                        | "merge"
                        | "patch"
                        | "recur"
                        | "present"
                        | "absent"
                        | "$"
                        | "("
                        | "["
                        | "{"
                        | "<<"
                )
            });
            set.words.retain(|word| !matches!(*word, "a path" | "a string" | "an integer"));
        }
        if set.words.contains("a pattern") {
            set.words.remove("an expression");
        }
        set
    }

    pub(crate) fn has(&self, token: &str) -> bool {
        self.tokens.contains(token)
    }

    pub(crate) fn group(&self, words: &str) -> bool {
        self.words.contains(words)
    }

    pub(crate) fn name(&self) -> bool {
        self.group("a name")
    }

    pub(crate) fn operand(&self) -> bool {
        self.group("an expression") || self.group("a statement")
    }

    pub(crate) fn tokens(&self) -> impl Iterator<Item = &'static str> {
        self.tokens.iter().copied()
    }

    /// Everything in at most ten entries: the tokens between backquotes, then the groups.
    pub(crate) fn list(&self) -> String {
        const MOST: usize = 10;
        let room = MOST.saturating_sub(self.words.len());
        let mut entries: Vec<String> =
            self.tokens.iter().take(room).map(|token| format!("`{token}`")).collect();
        if self.tokens.len() > room {
            entries.pop();
            entries.push("another token".to_owned());
        }
        entries.extend(self.words.iter().map(|word| (*word).to_owned()));
        if entries.is_empty() {
            entries.push("the end of the text".to_owned());
        }
        let list = entries.join(", ");
        if list.starts_with('`') { format!(" {list}") } else { format!(": {list}") }
    }
}

//! Reads the notation of `grammar/*.syntax`.

use std::collections::HashMap;

/// All rules.
#[derive(Default)]
pub(crate) struct Grammar {
    pub(crate) rules: Vec<Rule>,
    pub(crate) by_name: HashMap<String, usize>,
    /// What may follow rules that code calls: rule, tokens.
    pub(crate) follows: Vec<(String, Vec<String>)>,
}

pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) doc: String,
    /// What an error calls it.
    pub(crate) what: Option<String>,
    pub(crate) body: Choice,
    pub(crate) place: String,
}

impl Rule {
    /// Whether each use makes a node; otherwise it is a piece of the rules that use it.
    pub(crate) fn is_node(&self) -> bool {
        self.name.starts_with(|letter: char| letter.is_ascii_uppercase())
    }
}

/// Alternatives.
pub(crate) type Choice = Vec<Sequence>;
pub(crate) type Sequence = Vec<Item>;

#[derive(Clone)]
pub(crate) enum Item {
    /// A keyword or a sign.
    Token(String),
    /// Another rule.
    Rule(String),
    /// A nonterminal written by hand.
    Hook(String),
    Optional {
        is_greedy: bool,
        body: Choice,
    },
    Group(Choice),
    Repeat(Choice),
    /// `X...`: one or more with commas between them, as a node.
    List(Box<Item>),
    /// Something that is one node, in parentheses; `is_optional` for a list that may be empty.
    Parens {
        item: Box<Item>,
        is_optional: bool,
    },
    Label(String, Box<Item>),
    /// What the current token and the next one or two must be for this alternative.
    Guard {
        is_negated: bool,
        tokens: Vec<Vec<String>>,
    },
    /// The node is of another form from here on; when that is a rule, its body goes on.
    Become(String),
}

impl Grammar {
    /// Reads a file.
    pub(crate) fn add(&mut self, file: &str, text: &str) -> Result<(), String> {
        let mut doc = Vec::new();
        let mut lines = text.lines().enumerate().peekable();
        while let Some((index, line)) = lines.next() {
            let place = format!("grammar/{file}.syntax:{}", index + 1);
            if line.trim().is_empty() {
                doc.clear();
            } else if let Some(comment) = line.strip_prefix('#') {
                doc.push(comment.trim().to_owned());
            } else if let Some(rest) = line.strip_prefix("@follow ") {
                let mut words = rest.split_whitespace().map(str::to_owned);
                let rule = words.next().ok_or_else(|| format!("{place}: a rule must be named"))?;
                self.follows.push((rule, words.collect()));
            } else {
                let mut source = line.to_owned();
                while let Some((_, next)) = lines.next_if(|(_, next)| next.starts_with(' ')) {
                    source.push('\n');
                    source.push_str(next);
                }
                let rule = self.rule(&place, &source, doc.join(" "))?;
                doc.clear();
                if let Some(other) = self.by_name.insert(rule.name.clone(), self.rules.len()) {
                    return Err(format!(
                        "{place}: `{}` is a rule at {} too",
                        rule.name, self.rules[other].place
                    ));
                }
                self.rules.push(rule);
            }
        }
        Ok(())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Rule> {
        self.by_name.get(name).map(|index| &self.rules[*index])
    }

    fn rule(&self, place: &str, source: &str, doc: String) -> Result<Rule, String> {
        let wrong = |what: String| format!("{place}: {what}");
        let (head, body) = source.split_once('=').ok_or_else(|| wrong("a rule is `Name = …`".to_owned()))?;
        let (name, what) = match head.split_once('"') {
            Some((name, what)) => (name.trim(), Some(what.trim_end_matches([' ', '"']).to_owned())),
            None => (head.trim(), None),
        };
        let words = words(body).map_err(wrong)?;
        let mut reader = Reader { words: &words, position: 0 };
        let body = reader.choice().map_err(wrong)?;
        match reader.peek() {
            None => Ok(Rule { name: name.to_owned(), doc, what, body, place: place.to_owned() }),
            Some(word) => Err(wrong(format!("`{word}` does not fit in rule {name}"))),
        }
    }
}

fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let bytes = if first == '\'' {
            rest[1..].find('\'').map(|at| at + 2).ok_or("a sign has no closing quote")?
        } else if first == '<' {
            rest.find('>').map(|at| at + 1).ok_or("a `<` has no `>`")?
        } else if first == '#' {
            rest = rest.find('\n').map_or("", |at| &rest[at..]).trim_start();
            continue;
        } else if first.is_ascii_alphanumeric() || first == '_' {
            rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len())
        } else {
            ["...", "->", "[!", "&!(", "&("]
                .iter()
                .find(|sign| rest.starts_with(**sign))
                .map_or(1, |sign| sign.len())
        };
        words.push(rest[..bytes].to_owned());
        rest = rest[bytes..].trim_start();
    }
    Ok(words)
}

struct Reader<'a> {
    words: &'a [String],
    position: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.position).map(String::as_str)
    }

    fn take(&mut self) -> Result<&'a str, String> {
        let word = self.peek().ok_or("the rule ends too early")?;
        self.position += 1;
        Ok(word)
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        let word = self.take()?;
        if word == sign { Ok(()) } else { Err(format!("`{word}` stands where `{sign}` is expected")) }
    }

    fn choice(&mut self) -> Result<Choice, String> {
        let mut alternatives = vec![self.sequence()?];
        while self.peek() == Some("|") {
            self.position += 1;
            alternatives.push(self.sequence()?);
        }
        Ok(alternatives)
    }

    fn sequence(&mut self) -> Result<Sequence, String> {
        let mut items = Vec::new();
        while !matches!(self.peek(), None | Some("|" | ")" | "]" | "}")) {
            items.push(self.item()?);
        }
        Ok(join_parens(items))
    }

    fn item(&mut self) -> Result<Item, String> {
        let word = self.take()?;
        let item = match word {
            "[" | "[!" => {
                let body = self.choice()?;
                self.expect("]")?;
                Item::Optional { is_greedy: word == "[!", body }
            }
            "(" => {
                let body = self.choice()?;
                self.expect(")")?;
                Item::Group(body)
            }
            "{" => {
                let body = self.choice()?;
                self.expect("}")?;
                Item::Repeat(body)
            }
            "&(" | "&!(" => self.guard(word == "&!(")?,
            "->" => Item::Become(self.take()?.to_owned()),
            _ if word.starts_with('\'') => Item::Token(word.to_owned()),
            _ if word.starts_with('<') => Item::Hook(word.trim_matches(['<', '>']).to_owned()),
            _ if self.peek() == Some(":") => {
                self.position += 1;
                let item = self.item()?;
                return Ok(Item::Label(word.to_owned(), Box::new(item)));
            }
            _ if word.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_') => {
                Item::Token(word.to_owned())
            }
            _ if word.starts_with(|letter: char| letter.is_ascii_alphabetic()) => Item::Rule(word.to_owned()),
            _ => return Err(format!("`{word}` means nothing")),
        };
        if self.peek() == Some("...") {
            self.position += 1;
            return Ok(Item::List(Box::new(item)));
        }
        Ok(item)
    }

    /// `&(A | B C)`: alternatives with `|` for each of up to three tokens.
    fn guard(&mut self, is_negated: bool) -> Result<Item, String> {
        let mut tokens = vec![self.tokens()?];
        while self.peek() != Some(")") {
            tokens.push(self.tokens()?);
        }
        self.expect(")")?;
        if tokens.len() > 3 {
            return Err("a guard looks at three tokens at most".to_owned());
        }
        Ok(Item::Guard { is_negated, tokens })
    }

    fn tokens(&mut self) -> Result<Vec<String>, String> {
        let mut tokens = vec![self.take()?.to_owned()];
        while self.peek() == Some("|") {
            self.position += 1;
            tokens.push(self.take()?.to_owned());
        }
        Ok(tokens)
    }
}

/// `'(' X ')'` around what is one node becomes a property of that node.
fn join_parens(items: Sequence) -> Sequence {
    let mut joined: Sequence = Vec::new();
    let mut items = items.into_iter().peekable();
    while let Some(item) = items.next() {
        joined.push(item);
        if !matches!(items.peek(), Some(Item::Token(sign)) if sign == "')'") || joined.len() < 2 {
            continue;
        }
        let inner = joined.len() - 1;
        let opens = matches!(&joined[inner - 1], Item::Token(sign) if sign == "'('");
        if let Some(item) = in_parens(&joined[inner]).filter(|_| opens) {
            items.next();
            joined.truncate(inner - 1);
            joined.push(item);
        }
    }
    joined
}

fn in_parens(item: &Item) -> Option<Item> {
    match item {
        Item::Label(name, inner) => Some(Item::Label(name.clone(), Box::new(in_parens(inner)?))),
        Item::Optional { body, .. } => match body.as_slice() {
            [sequence] => match sequence.as_slice() {
                [Item::List(_)] => {
                    Some(Item::Parens { item: Box::new(sequence[0].clone()), is_optional: true })
                }
                [Item::Label(name, list)] if matches!(**list, Item::List(_)) => {
                    let parens = Item::Parens { item: list.clone(), is_optional: true };
                    Some(Item::Label(name.clone(), Box::new(parens)))
                }
                _ => None,
            },
            _ => None,
        },
        Item::Hook(_) | Item::List(_) => {
            Some(Item::Parens { item: Box::new(item.clone()), is_optional: false })
        }
        Item::Rule(name) if name.starts_with(|letter: char| letter.is_ascii_uppercase()) => {
            Some(Item::Parens { item: Box::new(item.clone()), is_optional: false })
        }
        _ => None,
    }
}

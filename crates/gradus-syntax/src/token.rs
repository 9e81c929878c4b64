//! Tokens: what the lexer hands to the parser.

/// The kind of a token. Words that are no keyword everywhere are `Name`; their [`Word`] says what else they may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Tok {
    Eof,
    Name,
    Int,
    Real,
    Str,
    // The reserved words: never names.
    Let,
    In,
    If,
    Then,
    Else,
    For,
    While,
    Of,
    By,
    From,
    Until,
    With,
    And,
    Or,
    Not,
    True,
    False,
    // Brackets.
    LParen,
    RParen,
    LBracket,
    RBracket,
    LBrace,
    RBrace,
    // Punctuation and operators.
    Comma,
    Semi,
    Colon,
    Dot,
    Compose,
    DotDot,
    DotDotEq,
    Ellipsis,
    Eq,
    EqEq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Arrow,
    LArrow,
    Tilde,
    Plus,
    Minus,
    Star,
    Slash,
    At,
    Caret,
    Amp,
    Pipe,
    Prime,
    /// Something the lexer has already complained about.
    Bad,
}

/// Words with a meaning in one place, ordinary names everywhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Word {
    None,
    // Expressions.
    Min,
    Max,
    Argmin,
    Argmax,
    Find,
    Fix,
    Expect,
    Solve,
    Scan,
    Mod,
    After,
    Subject,
    Diff,
    Warm,
    Upto,
    To,
    // Items.
    Use,
    Data,
    Fn,
    Type,
    Set,
    Term,
    Law,
    Rule,
    Schedule,
    Stop,
    Method,
    Dist,
    Model,
    Guide,
    Problem,
    Test,
    Extern,
    Workers,
    // Statements.
    Print,
    Plot,
    Save,
    Assert,
    Certify,
    // Bodies of items.
    Where,
    When,
    Is,
    On,
    At,
    State,
    Step,
    Return,
    Certificate,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub kind: Tok,
    pub word: Word,
    /// A line break stands somewhere between the token before and this one.
    pub nl: bool,
    /// White space, a comment or the start of the text stands before this token.
    pub space: bool,
    /// Inserted where a bracket was never closed.
    pub virt: bool,
    pub start: u32,
    pub end: u32,
    /// For a bracket: the index of its partner.
    pub mate: u32,
}

impl Tok {
    pub fn is_reserved(self) -> bool {
        (Tok::Let as u8..=Tok::False as u8).contains(&(self as u8))
    }

    /// A name or a reserved word.
    pub fn is_word(self) -> bool {
        self == Tok::Name || self.is_reserved()
    }

    pub fn is_open(self) -> bool {
        matches!(self, Tok::LParen | Tok::LBracket | Tok::LBrace)
    }

    pub fn is_close(self) -> bool {
        matches!(self, Tok::RParen | Tok::RBracket | Tok::RBrace)
    }

    pub fn closer(self) -> Tok {
        match self {
            Tok::LParen => Tok::RParen,
            Tok::LBracket => Tok::RBracket,
            Tok::LBrace => Tok::RBrace,
            other => other,
        }
    }

    /// How the token is spelled where the spelling does not depend on the text.
    pub fn spelling(self) -> &'static str {
        match self {
            Tok::Eof => "end of the text",
            Tok::Name => "name",
            Tok::Int | Tok::Real => "number",
            Tok::Str => "text",
            Tok::Let => "let",
            Tok::In => "in",
            Tok::If => "if",
            Tok::Then => "then",
            Tok::Else => "else",
            Tok::For => "for",
            Tok::While => "while",
            Tok::Of => "of",
            Tok::By => "by",
            Tok::From => "from",
            Tok::Until => "until",
            Tok::With => "with",
            Tok::And => "and",
            Tok::Or => "or",
            Tok::Not => "not",
            Tok::True => "true",
            Tok::False => "false",
            Tok::LParen => "(",
            Tok::RParen => ")",
            Tok::LBracket => "[",
            Tok::RBracket => "]",
            Tok::LBrace => "{",
            Tok::RBrace => "}",
            Tok::Comma => ",",
            Tok::Semi => ";",
            Tok::Colon => ":",
            Tok::Dot | Tok::Compose => ".",
            Tok::DotDot => "..",
            Tok::DotDotEq => "..=",
            Tok::Ellipsis => "...",
            Tok::Eq => "=",
            Tok::EqEq => "==",
            Tok::Ne => "!=",
            Tok::Lt => "<",
            Tok::Le => "<=",
            Tok::Gt => ">",
            Tok::Ge => ">=",
            Tok::Arrow => "->",
            Tok::LArrow => "<-",
            Tok::Tilde => "~",
            Tok::Plus => "+",
            Tok::Minus => "-",
            Tok::Star => "*",
            Tok::Slash => "/",
            Tok::At => "@",
            Tok::Caret => "^",
            Tok::Amp => "&",
            Tok::Pipe => "|>",
            Tok::Prime => "'",
            Tok::Bad => "?",
        }
    }
}

/// The kind and contextual meaning of a word.
pub(crate) fn classify(text: &str) -> (Tok, Word) {
    let word = |w| (Tok::Name, w);
    let kind = |k| (k, Word::None);
    // Every keyword is lower case and two to eleven letters long; most names fall out here.
    if text.len() < 2 || text.len() > 11 || !text.as_bytes()[0].is_ascii_lowercase() {
        return kind(Tok::Name);
    }
    match text {
        "let" => kind(Tok::Let),
        "in" => kind(Tok::In),
        "if" => kind(Tok::If),
        "then" => kind(Tok::Then),
        "else" => kind(Tok::Else),
        "for" => kind(Tok::For),
        "while" => kind(Tok::While),
        "of" => kind(Tok::Of),
        "by" => kind(Tok::By),
        "from" => kind(Tok::From),
        "until" => kind(Tok::Until),
        "with" => kind(Tok::With),
        "and" => kind(Tok::And),
        "or" => kind(Tok::Or),
        "not" => kind(Tok::Not),
        "true" => kind(Tok::True),
        "false" => kind(Tok::False),
        "min" => word(Word::Min),
        "max" => word(Word::Max),
        "argmin" => word(Word::Argmin),
        "argmax" => word(Word::Argmax),
        "find" => word(Word::Find),
        "fix" => word(Word::Fix),
        "expect" => word(Word::Expect),
        "solve" => word(Word::Solve),
        "scan" => word(Word::Scan),
        "mod" => word(Word::Mod),
        "after" => word(Word::After),
        "subject" => word(Word::Subject),
        "diff" => word(Word::Diff),
        "warm" => word(Word::Warm),
        "upto" => word(Word::Upto),
        "to" => word(Word::To),
        "use" => word(Word::Use),
        "data" => word(Word::Data),
        "fn" => word(Word::Fn),
        "type" => word(Word::Type),
        "set" => word(Word::Set),
        "term" => word(Word::Term),
        "law" => word(Word::Law),
        "rule" => word(Word::Rule),
        "schedule" => word(Word::Schedule),
        "stop" => word(Word::Stop),
        "method" => word(Word::Method),
        "dist" => word(Word::Dist),
        "model" => word(Word::Model),
        "guide" => word(Word::Guide),
        "problem" => word(Word::Problem),
        "test" => word(Word::Test),
        "extern" => word(Word::Extern),
        "workers" => word(Word::Workers),
        "print" => word(Word::Print),
        "plot" => word(Word::Plot),
        "save" => word(Word::Save),
        "assert" => word(Word::Assert),
        "certify" => word(Word::Certify),
        "where" => word(Word::Where),
        "when" => word(Word::When),
        "is" => word(Word::Is),
        "on" => word(Word::On),
        "at" => word(Word::At),
        "state" => word(Word::State),
        "step" => word(Word::Step),
        "return" => word(Word::Return),
        "certificate" => word(Word::Certificate),
        _ => kind(Tok::Name),
    }
}

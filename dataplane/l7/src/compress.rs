//! Answers made smaller for clients that say what they understand (RFC 9110, 12.5.3). A piece waits in the coder only as long as more
//! follows at once: what a member says slowly passes as slowly.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::{Body as _, Frame};
pub(crate) use lb_model::l7::Coding;
use lb_model::l7::L7Compression;

use crate::body::{Body, BodyError};
use crate::forward::Answer;

/// How hard is tried: what a busy proxy can afford.
const GZIP_LEVEL: u32 = 5;
const BROTLI_LEVEL: u32 = 4;
const BROTLI_WINDOW: u32 = 19;
const ZSTD_LEVEL: i32 = 3;

/// What is made smaller, and how.
#[derive(Clone, Debug)]
pub(crate) struct Compression {
    codings: Vec<Coding>,
    types: Vec<String>,
    least: u64,
}

impl Compression {
    pub(crate) fn new(of: &L7Compression) -> Self {
        let L7Compression { codings, types, min_bytes } = of;
        Self { codings: codings.clone(), types: types.clone(), least: u64::from(*min_bytes) }
    }

    /// The coding that a client likes best, of equal ones the first of ours.
    pub(crate) fn coding_for(&self, method: &Method, headers: &HeaderMap) -> Option<Coding> {
        if *method == Method::HEAD {
            return None;
        }
        let liked = self.codings.iter().rev().map(|coding| (liking(headers, *coding), *coding));
        liked.filter(|(liking, _)| *liking > 0).max_by_key(|(liking, _)| *liking).map(|(_, coding)| coding)
    }

    /// Makes an answer smaller that is worth it.
    pub(crate) fn apply(&self, coding: Option<Coding>, answer: &mut Answer) {
        let Answer { parts, body } = answer;
        let plain = !matches!(parts.status, StatusCode::PARTIAL_CONTENT | StatusCode::SWITCHING_PROTOCOLS)
            && !parts.headers.contains_key(CONTENT_ENCODING)
            && !must_stay(&parts.headers);
        if !plain || !self.is_of_type(&parts.headers) {
            return;
        }
        // Whoever keeps answers for others keeps one of each.
        parts.headers.append(VARY, HeaderValue::from_static("accept-encoding"));
        let Some(coding) = coding else { return };
        if body.length().is_some_and(|length| length < self.least.max(1)) {
            return;
        }
        let Ok(encoder) = Encoder::new(coding) else { return };
        parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.remove(ACCEPT_RANGES);
        weaken(&mut parts.headers);
        let inner = std::mem::take(body);
        *body =
            Body::Coded(Box::new(Coded { body: inner, encoder: Some(encoder), waits: false, after: None }));
    }

    fn is_of_type(&self, headers: &HeaderMap) -> bool {
        let Some(told) = headers.get(CONTENT_TYPE).and_then(|told| told.to_str().ok()) else { return false };
        let told = told.split(';').next().unwrap_or_default().trim();
        self.types.iter().any(|wanted| match wanted.strip_suffix("/*") {
            Some(kind) => told.split('/').next().is_some_and(|told| told.eq_ignore_ascii_case(kind)),
            None => told.eq_ignore_ascii_case(wanted),
        })
    }
}

/// How much a client likes a coding, in thousandths; 0: it does not understand it.
fn liking(headers: &HeaderMap, coding: Coding) -> u32 {
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let (mut named, mut any) = (None, 0);
    for item in lines.flat_map(|line| line.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1000, thousandths);
        if name.eq_ignore_ascii_case(coding.as_str()) {
            named = Some(weight);
        } else if name == "*" {
            any = weight;
        }
    }
    named.unwrap_or(any)
}

fn thousandths(weight: &str) -> u32 {
    let (whole, part) = weight.split_once('.').unwrap_or((weight, ""));
    let part = format!("{part:0<3}");
    let part = part.get(..3).and_then(|part| part.parse::<u32>().ok()).unwrap_or(0);
    if whole == "0" { part } else { 1000 }
}

/// RFC 9111, 5.2.2.6.
fn must_stay(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|word| word.trim().eq_ignore_ascii_case("no-transform"))
}

/// RFC 9110, 8.8.3: what is coded is another representation, but means the same.
fn weaken(headers: &mut HeaderMap) {
    if let Some(tag) = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")) {
        let weak = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat());
        match weak {
            Ok(weak) => drop(headers.insert(ETAG, weak)),
            Err(_) => drop(headers.remove(ETAG)),
        }
    }
}

/// A body that becomes smaller on its way.
pub(crate) struct Coded {
    body: Body,
    /// Until all came.
    encoder: Option<Encoder>,
    /// Whether something may still wait in it.
    waits: bool,
    /// Fields that follow.
    after: Option<Frame<Bytes>>,
}

impl std::fmt::Debug for Coded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coded").field("body", &self.body).finish_non_exhaustive()
    }
}

impl Coded {
    pub(crate) fn poll_upload(&mut self, cx: &mut Context<'_>) {
        self.body.poll_upload(cx);
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            let Some(encoder) = &mut self.encoder else { return Poll::Ready(self.after.take().map(Ok)) };
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        self.waits = true;
                        let made = encoder.write(&data).map_err(|_| BodyError::Malformed)?;
                        if !made.is_empty() {
                            return Poll::Ready(Some(Ok(Frame::data(made))));
                        }
                    }
                    Err(frame) => {
                        self.after = Some(frame);
                        return Poll::Ready(self.finish());
                    }
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(self.finish()),
                Poll::Pending if self.waits => {
                    self.waits = false;
                    let made = encoder.flush().map_err(|_| BodyError::Malformed)?;
                    if !made.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(made))));
                    }
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn finish(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        let made = self.encoder.take()?.finish();
        Some(made.map(Frame::data).map_err(|_| BodyError::Malformed))
    }
}

/// A coder into memory.
enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    fn new(coding: Coding) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL))),
            Coding::Brotli => {
                let writer = brotli::CompressorWriter::new(Vec::new(), 4096, BROTLI_LEVEL, BROTLI_WINDOW);
                Self::Brotli(Box::new(writer))
            }
            Coding::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?),
        })
    }

    fn write(&mut self, data: &[u8]) -> io::Result<Bytes> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(data)?,
            Self::Brotli(encoder) => encoder.write_all(data)?,
            Self::Zstd(encoder) => encoder.write_all(data)?,
        }
        Ok(self.made())
    }

    /// All that was written, so that whoever reads it can read all of it.
    fn flush(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Gzip(encoder) => encoder.flush()?,
            Self::Brotli(encoder) => encoder.flush()?,
            Self::Zstd(encoder) => encoder.flush()?,
        }
        Ok(self.made())
    }

    fn made(&mut self) -> Bytes {
        let made = match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        };
        Bytes::from(std::mem::take(made))
    }

    fn finish(self) -> io::Result<Bytes> {
        Ok(Bytes::from(match self {
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Brotli(encoder) => encoder.into_inner(),
            Self::Zstd(encoder) => encoder.finish()?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn accepting(line: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(line))])
    }

    fn compression() -> Compression {
        Compression::new(&L7Compression {
            codings: vec![Coding::Brotli, Coding::Zstd, Coding::Gzip],
            types: vec!["text/*".to_owned(), "application/json".to_owned()],
            min_bytes: 10,
        })
    }

    #[test]
    fn the_client_chooses_and_of_equals_the_operator() {
        let compression = compression();
        let chosen = |line| compression.coding_for(&Method::GET, &accepting(line));
        assert_eq!(chosen("gzip, deflate, br, zstd"), Some(Coding::Brotli));
        assert_eq!(chosen("gzip;q=1.0, br;q=0.5"), Some(Coding::Gzip));
        assert_eq!(chosen("br;q=0, *"), Some(Coding::Zstd));
        assert_eq!(chosen("*;q=0.1, ZSTD;q=0"), Some(Coding::Brotli));
        assert_eq!(chosen("identity"), None);
        assert_eq!(chosen("*;q=0"), None);
        assert_eq!(compression.coding_for(&Method::HEAD, &accepting("gzip")), None);
    }

    fn answer(body: &'static [u8], fields: &[(http::HeaderName, &'static str)]) -> Answer {
        let mut answer = Answer::own(StatusCode::OK);
        answer.parts.headers =
            fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        answer.body = Body::Whole(Bytes::from_static(body));
        answer
    }

    fn coded(body: &'static [u8], fields: &[(http::HeaderName, &'static str)]) -> Answer {
        let mut answer = answer(body, fields);
        compression().apply(Some(Coding::Gzip), &mut answer);
        answer
    }

    #[test]
    fn only_what_may_be_coded_is() {
        let long = b"a long text of more than ten bytes";
        let is_coded =
            |fields: &[(http::HeaderName, &'static str)]| matches!(coded(long, fields).body, Body::Coded(_));
        assert!(is_coded(&[(CONTENT_TYPE, "text/html; charset=utf-8")]));
        assert!(is_coded(&[(CONTENT_TYPE, "Application/JSON")]));
        assert!(!is_coded(&[(CONTENT_TYPE, "image/png")]));
        assert!(!is_coded(&[]));
        assert!(!is_coded(&[(CONTENT_TYPE, "text/html"), (CONTENT_ENCODING, "br")]));
        assert!(!is_coded(&[(CONTENT_TYPE, "text/html"), (CACHE_CONTROL, "public, no-transform")]));
        let short = coded(b"short", &[(CONTENT_TYPE, "text/html")]);
        assert!(matches!(short.body, Body::Whole(_)) && short.parts.headers[VARY] == "accept-encoding");
        let tagged = coded(long, &[(CONTENT_TYPE, "text/html"), (ETAG, "\"a\""), (ACCEPT_RANGES, "bytes")]);
        assert_eq!(
            (&tagged.parts.headers[ETAG], tagged.parts.headers.get(ACCEPT_RANGES)),
            (&HeaderValue::from_static("W/\"a\""), None)
        );
    }

    #[test]
    fn what_was_coded_is_read_again_and_each_piece_at_once() {
        let pieces: Vec<Vec<u8>> =
            (0..50_u32).map(|at| format!("{at} words, ").repeat(200).into_bytes()).collect();
        let whole = pieces.concat();
        for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
            let mut encoder = Encoder::new(coding).unwrap();
            let mut made = Vec::new();
            let read = |made: &[u8], length: usize| {
                let mut read = vec![0; length];
                match coding {
                    Coding::Gzip => flate2::read::GzDecoder::new(made).read_exact(&mut read).unwrap(),
                    Coding::Brotli => brotli::Decompressor::new(made, 4096).read_exact(&mut read).unwrap(),
                    Coding::Zstd => {
                        zstd::stream::read::Decoder::new(made).unwrap().read_exact(&mut read).unwrap();
                    }
                }
                read
            };
            let mut written = 0;
            for piece in &pieces {
                made.extend(encoder.write(piece).unwrap());
                made.extend(encoder.flush().unwrap());
                written += piece.len();
                assert_eq!(read(&made, written), whole[..written], "{coding:?}");
            }
            made.extend(encoder.finish().unwrap());
            assert_eq!(read(&made, whole.len()), whole);
            assert!(made.len() * 4 < whole.len(), "{coding:?}: {} of {}", made.len(), whole.len());
        }
    }
}

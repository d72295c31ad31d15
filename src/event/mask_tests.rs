//! Tests of masking: forms of secrets that must be masked, and forms that must stay.

use proptest::prelude::*;

use super::*;

/// A URL as sent and as it is written. `§` stands for a secret.
const MASKED: &[(&str, &str)] = &[
    // The words, alone and in compounds.
    ("/a?token=§", "/a?token=***"),
    ("/a?auth=§", "/a?auth=***"),
    ("/a?session=§&x=1", "/a?session=***&x=1"),
    ("/a?sid=§", "/a?sid=***"),
    ("/a?sig=§", "/a?sig=***"),
    ("/a?pass=§", "/a?pass=***"),
    ("/a?secret=§", "/a?secret=***"),
    ("/a?password=§", "/a?password=***"),
    ("/a?pwd=§", "/a?pwd=***"),
    ("/a?mytoken=1&my_token=§", "/a?mytoken=1&my_token=***"),
    ("/a?access_token=§", "/a?access_token=***"),
    ("/a?access-token=§", "/a?access-token=***"),
    ("/a?access.token=§", "/a?access.token=***"),
    ("/a?accesstoken=§", "/a?accesstoken=***"),
    ("/a?accessToken=§", "/a?accessToken=***"),
    ("/a?AccessToken=§", "/a?AccessToken=***"),
    ("/a?ACCESS_TOKEN=§", "/a?ACCESS_TOKEN=***"),
    ("/a?CSRFToken=§", "/a?CSRFToken=***"),
    ("/a?userPass=§", "/a?userPass=***"),
    ("/a?new_pass_2=§", "/a?new_pass_2=***"),
    ("/a?pass1=§", "/a?pass1=***"),
    ("/a?token2=§", "/a?token2=***"),
    ("/a?oauth2Token=§", "/a?oauth2Token=***"),
    ("/a?oauth_signature=§", "/a?oauth_signature=***"),
    ("/a?PassWord=§&next=/", "/a?PassWord=***&next=/"),
    ("/a?user[password]=§", "/a?user[password]=***"),
    ("/a?user%5Bpassword%5D=§", "/a?user%5Bpassword%5D=***"),
    ("/a?tokens[]=1&token[]=§", "/a?tokens[]=1&token[]=***"),
    ("/a?apikey=§", "/a?apikey=***"),
    ("/a?apiKey=§", "/a?apiKey=***"),
    ("/a?APIKey=§", "/a?APIKey=***"),
    ("/a?X-API-Key=§", "/a?X-API-Key=***"),
    ("/a?X-Amz-Signature=§&X-Amz-Date=1", "/a?X-Amz-Signature=***&X-Amz-Date=1"),
    ("/a?X-Amz-Security-Token=§", "/a?X-Amz-Security-Token=***"),
    ("/a?X-Amz-Credential=§", "/a?X-Amz-Credential=***"),
    ("/a?JSESSIONID=§", "/a?JSESSIONID=***"),
    ("/a?PHPSESSID=§", "/a?PHPSESSID=***"),
    ("/blob?sv=2022-11-02&sig=§%3D", "/blob?sv=2022-11-02&sig=***"),
    ("/a?token=§/b/c", "/a?token=***"),
    ("/a?token=§;b", "/a?token=***"),
    ("/a?token=§?b", "/a?token=***"),
    ("/a?token=§==", "/a?token=***"),
    ("/a?x=1;token=§;y=2", "/a?x=1;token=***;y=2"),
    ("/a?x=1&amp;token=§", "/a?x=1&amp;token=***"),
    // Encoded names.
    ("/a?pass%77ord=§&next=/", "/a?pass%77ord=***&next=/"),
    ("/a?%74oken=§", "/a?%74oken=***"),
    ("/a?access%5Ftoken=§", "/a?access%5Ftoken=***"),
    ("/a?%2574oken=§", "/a?%2574oken=***"),
    ("/a?token%3D§", "/a?token%3D***"),
    ("/a%3Ftoken=§", "/a%3Ftoken=***"),
    // Path parameters and fragments.
    ("/shop;jsessionid=§/cart;v=2?token=§", "/shop;jsessionid=***/cart;v=2?token=***"),
    ("/shop%3Bjsessionid=§/cart", "/shop%3Bjsessionid=***/cart"),
    ("/reset/token=§/next", "/reset/token=***/next"),
    ("/cb#access_token=§&state=1", "/cb#access_token=***&state=1"),
    ("/app/(S(§))/default.aspx", "/app/(S(***))/default.aspx"),
    ("/app/(A(§)F(§)S(§))/default.aspx", "/app/(A(***)F(***)S(***))/default.aspx"),
    ("/app/%28S%28§%29%29/default.aspx", "/app/%28S%28***%29%29/default.aspx"),
    // URLs in values.
    ("/go?to=https%3A%2F%2Fh%2Fcb%3Ftoken%3D§%26x%3D1&y=2", "/go?to=https%3A%2F%2Fh%2Fcb%3Ftoken%3D***%26x%3D1&y=2"),
    ("/go?to=https%253A%252F%252Fh%252F%253Fsid%253D§", "/go?to=https%253A%252F%252Fh%252F%253Fsid%253D***"),
    ("/go?to=http://h/?token=§&x=1", "/go?to=http://h/?token=***&x=1"),
    ("/proxy/https%3A%2F%2Fh%2F%3Fpass%3D§", "/proxy/https%3A%2F%2Fh%2F%3Fpass%3D***"),
    ("/go?to=https%3A%2F%2Fu%3A§%40h%2F", "/go?to=https%3A%2F%2Fu%3A***%40h%2F"),
    ("/go?to=ftp://u:§@h/", "/go?to=ftp://u:***@h/"),
    // User information.
    ("http://user:§@host/path", "http://user:***@host/path"),
    ("http://user:§@§:§@host/?token=§", "http://user:***@host/?token=***"),
    ("//user:§@host/", "//user:***@host/"),
    ("http:\\\\user:§@host/", "http:\\\\user:***@host/"),
    ("user:§@host:443", "user:***@host:443"),
    ("https://ghp_a1B2c3D4e5F6g7H8i9J0@host/", "https://***@host/"),
    ("robot/1 (+http://u:§@host/)", "robot/1 (+http://u:***@host/)"),
    ("tool/2 token=§", "tool/2 token=***"),
    // Keys that are masked only with a value that looks secret.
    ("/cb?code=4%2F0AX4XfWh8rZt9Qk2&state=1", "/cb?code=***&state=1"),
    ("/cb?code=SplxlOBeZQQYbYS6WxSbIA", "/cb?code=***"),
    ("/map?key=AIzaSyD9tSrke72PouQMnMX", "/map?key=***"),
    ("/a?key=0123456789abcdef0123456789abcdef", "/a?key=***"),
    ("/a?authCode=§", "/a?authCode=***"),
    ("/a?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE", "/a?AWSAccessKeyId=***"),
    ("/cas?ticket=ST-1856339-aA5Yuvrxzpv8Tau1cYQ7", "/cas?ticket=***"),
    ("/cb?state=9f86d081884c7d659a2feaa0c55ad015&code=abc", "/cb?state=***&code=abc"),
    ("/cb?code_verifier=dBjftJeZ4CVPmB92K27uhbUJU1p1r", "/cb?code_verifier=***"),
    // Members of JSON objects.
    ("/a?q={\"token\":\"§\"}", "/a?q={\"token\":\"***\"}"),
    (
        "/a?q={\"user\":\"jane\",\"password\":\"§\",\"x\":1}&y=2",
        "/a?q={\"user\":\"jane\",\"password\":\"***\",\"x\":1}&y=2",
    ),
    ("/a?q=%7B%22token%22%3A%22§%22%7D&x=1", "/a?q=%7B%22token%22%3A%22***%22%7D&x=1"),
    ("/a?q=%257B%2522apiKey%2522%253A%2522§%2522%257D", "/a?q=%257B%2522apiKey%2522%253A%2522***%2522%257D"),
    ("/a?q={\"token\" : \"§\"}", "/a?q={\"token\" : \"***\"}"),
    ("/a?q={'token':'§'}", "/a?q={'token':'***'}"),
    ("/a?q={token:§,x:1}", "/a?q={token:***,x:1}"),
    ("/a?q={\\\"token\\\":\\\"§\\\",\\\"x\\\":1}", "/a?q={\\\"token\\\":\\\"***\\\",\\\"x\\\":1}"),
    ("/a?q={\"token\":\"a\\\"§\"}&x=1", "/a?q={\"token\":\"***\"}&x=1"),
    ("/a?q={\"auth\":{\"key\":\"§\"},\"x\":1}", "/a?q={\"auth\":***,\"x\":1}"),
    ("/a?q={\"secret\":[\"§\",\"§\"],\"x\":1}", "/a?q={\"secret\":***,\"x\":1}"),
    ("/a?q={\"token\":\"§", "/a?q={\"token\":\"***"),
    ("/a?q={\"key\":\"0123456789abcdef0123456789abcdef\"}", "/a?q={\"key\":\"***\"}"),
    // JSON Web Tokens, by their form alone.
    ("/verify/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVPmB92K27u", "/verify/***"),
    ("/u/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVPmB92K27u/next?x=1", "/u/***/next?x=1"),
    ("/a?x=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVPmB92K27u&y=1", "/a?x=***&y=1"),
    ("/a/eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0NTY3ODkwIn0./b", "/a/***/b"),
    // Matrix parameters, fragments, absolute-form and authority-form targets.
    ("/a;v=1;sid=§;w=2/b?x=1", "/a;v=1;sid=***;w=2/b?x=1"),
    ("/a;PHPSESSID=§", "/a;PHPSESSID=***"),
    ("/a,token=§", "/a,token=***"),
    ("/app#/route?token=§", "/app#/route?token=***"),
    ("/app#!/route;sid=§", "/app#!/route;sid=***"),
    ("/cb#id_token=§", "/cb#id_token=***"),
    ("http://user:§@host:80", "http://user:***@host:80"),
    ("http://u%3A§@host/", "http://u%3A***@host/"),
    ("/a?u=http%253A%252F%252Fuser%253A§%2540h%252F", "/a?u=http%253A%252F%252Fuser%253A***%2540h%252F"),
    // Names that vendors and frameworks use.
    ("/o?X-Goog-Signature=§&X-Goog-Date=1", "/o?X-Goog-Signature=***&X-Goog-Date=1"),
    ("/c?sv=2022&sp=r&sig=§%3D&se=2024", "/c?sv=2022&sp=r&sig=***&se=2024"),
    ("/a?__RequestVerificationToken=§", "/a?__RequestVerificationToken=***"),
    ("/a?authenticity_token=§", "/a?authenticity_token=***"),
    ("/a?csrfmiddlewaretoken=§", "/a?csrfmiddlewaretoken=***"),
    ("/a?ASP.NET_SessionId=§", "/a?ASP.NET_SessionId=***"),
    ("/a?CFID=12&CFTOKEN=§", "/a?CFID=12&CFTOKEN=***"),
    ("/a?connect.sid=§", "/a?connect.sid=***"),
    ("/a?SAMLResponse=§", "/a?SAMLResponse=***"),
    ("/a?Ocp-Apim-Subscription-Key=§", "/a?Ocp-Apim-Subscription-Key=***"),
    ("/a?x-functions-key=§", "/a?x-functions-key=***"),
    ("/a?consumerKey=§&appKey=§", "/a?consumerKey=***&appKey=***"),
    ("/a?passwords[]=§&secrets[0]=§", "/a?passwords[]=***&secrets[0]=***"),
    ("/a?user[token][0]=§", "/a?user[token][0]=***"),
    ("/a?token%00=§", "/a?token%00=***"),
    ("/a?a=b|token=§", "/a?a=b|token=***"),
];

/// Texts that stay as they are.
const PLAIN: &[&str] = &[
    "/wiki/C_(S(x)",
    "/wiki/Group_(S(3))",
    "/a/(B(x))/",
    "/a/(S())/",
    "/index.html",
    "/a?q={\"author\":\"jane\",\"design\":\"flat\",\"time\":\"12:30:45\"}",
    "/a?q={\"state\":\"open\",\"code\":\"404\",\"token\":\"\"}",
    "/a?t={\"url\":\"http://h/\",monkey:1,keyboard:'de'}",
    "/js/a-rather-long-name-of-a-script.eyJx.min.js",
    "/a?assign=me&passport=no&codec=h264",
    "/a?max_tokens=100&state=TX",
    "/a?zip=1&state=california",
    "/x:y/a:b?c=d:e",
    "host:443",
    "/a?b=c&d=e",
    "/a?author=jane",
    "/a?authority=3",
    "/a?authored=2",
    "/a?passage=12",
    "/a?passenger=2",
    "/a?bypass_cache=1",
    "/a?compass=n",
    "/a?passive=1",
    "/a?keyboard=de",
    "/a?keyword=shoes",
    "/a?monkey=1",
    "/a?design=flat",
    "/a?assignment=7",
    "/a?signal=9",
    "/a?signin=1",
    "/a?sidebar=left",
    "/a?side=b",
    "/a?inside=1",
    "/a?tokenize=1",
    "/a?tokenizer=bpe",
    "/a?secretary=jo",
    "/a?sessionless=1",
    "/a?obsession=1",
    "/a?codec=h264",
    "/a?zipcode=12345",
    "/a?country_code=US",
    "/a?code=404",
    "/a?code=SUMMER2024",
    "/a?code=product-12345",
    "/a?key=name",
    "/a?key=com.example.LoginForm.title",
    "/a?sort_key=created_at",
    "/a?key=some%20words%20of%20text%201",
    "/a?token=&x=1",
    "/a?token&x=1",
    "/token/a?x=1",
    "/a/b=c/d",
    "/100%25?discount=5%25",
    "http://user@host/a:b@c",
    "/redirect?to=mail@host",
    "/a:b@c",
    "mailto:jane@example.com",
    "robot/1 (jane@example.com; +http://example.com/bot?a=b)",
];

fn mask(url: &str) -> String {
    String::from_utf8(MaskedKeys::default().masked(url.as_bytes()).into_owned()).unwrap()
}

#[test]
fn secrets_are_masked_in_every_form() {
    for &(url, expected) in MASKED {
        assert_eq!(mask(&url.replace('§', "s3cr3t")), expected, "{url}");
    }
}

#[test]
fn what_is_no_secret_stays() {
    for &url in PLAIN {
        assert!(matches!(MaskedKeys::default().masked(url.as_bytes()), Cow::Borrowed(_)), "{url}: {}", mask(url));
    }
}

#[test]
fn no_keys_switch_masking_off_and_own_keys_take_the_place_of_the_default() {
    let none = MaskedKeys::new(Vec::new());
    for &(url, _) in MASKED {
        assert_eq!(none.masked(url.as_bytes()), url.as_bytes());
    }
    let own = MaskedKeys::new(vec!["Customer-No".to_owned(), "ref?".to_owned()]);
    let url = b"/a?customerNo=5&token=1&ref=home&my_ref=a1B2c3D4e5F6&http://u:pw@h/";
    assert_eq!(*own.masked(url), *b"/a?customerNo=***&token=1&ref=home&my_ref=***&http://u:***@h/");
}

#[test]
fn hostile_texts_take_linear_time() {
    let began = std::time::Instant::now();
    for part in [
        "{token:{",
        "{key:{",
        "{key:[\"",
        "{\"key\":\"",
        "\\\"key\\\":\\\"",
        ".eyJ",
        "eyJhbGciOiJIUzI1NiJ9.eyJ",
        "key:  ",
        "a=b=",
        ";//",
    ] {
        mask(&format!("/a?x=%20{}", part.repeat((128 << 10) / part.len())));
    }
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

proptest! {
    #[test]
    fn any_bytes_are_survived(url in proptest::collection::vec(proptest::sample::select(b"/?&;#=@:%ptoken2f{}[]\"'\\,. eyJ".to_vec()), 0..60)) {
        let keys = MaskedKeys::new(vec!["token".to_owned(), "p".to_owned()]);
        let _any = keys.masked(&url).into_owned();
    }

    /// However a secret's parameter is spelled, encoded and surrounded, the secret is gone and the rest is there.
    #[test]
    fn a_secret_is_found_in_any_spelling(
        key in proptest::sample::select(vec!["token", "session", "passwd", "secret", "auth", "sid"]),
        before in "([a-z]{1,5}[_.-]){0,2}",
        after in "([_.-][a-z]{1,5}|[0-9]{0,2})",
        capital in any::<bool>(),
        encoded in proptest::collection::vec(any::<bool>(), 24),
        layers in 0usize..3,
        neighbours in "([a-z]{1,6}=[a-z0-9]{0,6}&){0,3}",
    ) {
        let key = if capital { key.to_uppercase() } else { key.to_owned() };
        let name: String = format!("{before}{key}{after}").chars().zip(encoded.iter().cycle()).map(|(letter, &encode)| {
            if encode { format!("%{:02X}", letter as u32) } else { letter.to_string() }
        }).collect();
        let mut value = format!("q={neighbours}{name}=S3CR3T");
        for _ in 0..layers {
            value = value.replace('%', "%25").replace('=', "%3D").replace('&', "%26");
        }
        let shown = mask(&format!("/p?{value}&last=1"));
        prop_assert!(!shown.contains("S3CR3T"), "{shown}");
        prop_assert!(shown.starts_with("/p?q") && shown.ends_with("***&last=1"), "{shown}");
    }
}

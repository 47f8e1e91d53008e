"""Generated addresses of the web, of mail, of phones and of people, and harmless words to put around them."""

from hypothesis import strategies as st

LETTERS = st.characters(categories=["Ll", "Lu"])
WORD = st.text(LETTERS, min_size=1, max_size=8)
NAME = st.from_regex(r"[a-z][a-z0-9_-]{2,12}[a-z0-9]", fullmatch=True)
TLD = st.sampled_from(["com", "net", "de", "co.uk", "example", "museum", "xyz", "рф", "onion"])
HOST = st.builds("{}.{}".format, NAME, TLD)
PATH = st.from_regex(r"(/[a-zA-Z0-9_%?=&#.-]{0,12})?", fullmatch=True)
URL = st.builds("{}{}{}".format, st.sampled_from(["", "http://", "https://", "www.", "HTTPS://"]), HOST, PATH)
EMAIL = st.builds("{}@{}".format, NAME, HOST)
HANDLE = st.builds("@{}".format, NAME)
PHONE = st.from_regex(
    r"\+?[1-9][0-9]{1,2}[ /.-]?(\([0-9]{2,4}\)|[0-9]{2,4})[ -]?[0-9]{3,4}[ -]?[0-9]{2,4}", fullmatch=True
)
ADDRESS = st.one_of(URL, EMAIL, HANDLE, PHONE)

import pytest

from affectus import notice
from affectus.errors import ConfigError


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def test_the_notice_says_what_the_law_says():
    # Regulation (EU) 2024/1689, Articles 5(1)(f) and 50(3).
    for words in ("guess", "work or in education", "5(1)(f)", "medical or safety", "50(3)"):
        assert words in notice.NOTICE


def test_accepting_is_remembered_until_the_file_is_deleted():
    assert notice.find_acceptance() is None
    path = notice.accept_use()
    assert notice.find_acceptance()[:2] == "20"
    notice.check_quiet("predict")
    path.unlink()
    assert notice.find_acceptance() is None


def test_another_text_has_to_be_accepted_anew(monkeypatch):
    notice.accept_use()
    monkeypatch.setattr(notice, "_TEXT", "of another version")
    assert notice.find_acceptance() is None


def test_a_damaged_file_is_no_acceptance():
    notice.accept_use().write_bytes(b"\xff")
    assert notice.find_acceptance() is None


def test_quiet_without_acceptance_shows_the_notice():
    with pytest.raises(ConfigError, match=r"predict: --quiet, .* add --accept-use\. Notice: "):
        notice.check_quiet("predict")

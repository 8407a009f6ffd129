"""Files to the entries of a list: text, CSV, and OFAC's forms, made up after its data specification."""

import re
import tracemalloc
from pathlib import Path

import pytest

from m1cep.runtime.addresses import normal_address
from streams.cache.reading import Reading
from streams.errors import ShellError, UsageError

SAMPLES = Path(__file__).parents[3] / "docs" / "samples"
ETH = "0xBAD0000000000000000000000000000000000001"
REMARKS = (
    f"DOB 1980; Digital Currency Address - XBT 1MadeUp; alt. Digital Currency Address - ETH {ETH}; Linked To: NO BANK."
)


def sdn(number, name, remarks="-0- "):
    cells = [str(number), f'"{name}"', *['"-0- "'] * 9, f'"{remarks}"']
    return ",".join(cells) + "\r\n"


def xml(*entries, count=None):
    body = "".join(entries)
    about = f"<Publish_Date>11/20/2026</Publish_Date><Record_Count>{len(entries) if count is None else count}</Record_Count>"
    return f'<?xml version="1.0"?><sdnList xmlns="http://x/XML"><publshInformation>{about}</publshInformation>{body}</sdnList>'


def person(name, *addresses, alias=""):
    ids = "".join(
        f"<id><uid>1</uid><idType>Digital Currency Address - XBT</idType><idNumber>{a}</idNumber></id>"
        for a in addresses
    )
    aka = f"<akaList><aka><uid>2</uid><lastName>{alias}</lastName></aka></akaList>" if alias else ""
    passport = "<id><uid>9</uid><idType>Passport</idType><idNumber>P1</idNumber></id>"
    names = f"<firstName>Ivan</firstName><lastName>{name}</lastName>"
    return f"<sdnEntry><uid>1</uid>{names}<idList>{ids}{passport}</idList>{aka}</sdnEntry>"


@pytest.fixture
def files(tmp_path):
    def write(**contents):
        made = []
        for name, text in contents.items():
            made.append(tmp_path / name.replace("_", "."))
            made[-1].write_bytes(text if isinstance(text, bytes) else text.encode())
        return made

    return write


def read(files, **options):
    return list(Reading(files, **options))


class TestOfac:
    def test_the_samples_in_both_forms_have_the_same_entries(self):
        xml_form = [SAMPLES / "sdn-made-up.xml"]
        csv_form = [SAMPLES / "sdn-made-up.csv", SAMPLES / "alt-made-up.csv"]
        for take, count in [("address", 2), ("name", 3), ("all", 5)]:
            found = [set(read(form, take=take)) for form in (xml_form, csv_form)]
            assert found[0] == found[1]
            assert len(found[0]) == count

    def test_csv_has_addresses_in_its_remarks(self, files):
        made = files(SDN_CSV=sdn(1, "MADEUP, Ivan", REMARKS) + sdn(2, "NO BANK") + "\x1a")
        assert read(made) == ["1MadeUp", ETH.lower()]
        assert read(made, take="name") == ["MADEUP, Ivan", "NO BANK"]
        assert len(read(made, take="all")) == 4

    def test_csv_comes_in_several_files(self, files):
        long = "x" * 990 + "; Digital Currency Address - XBT 1Mad"
        made = files(
            SDN_CSV=sdn(1, "MADEUP", long[:1000]),
            SDNCOMMENTS_CSV=f'1,"{long[1000:]}eUp; and so on."\r\n',
            ALT_CSV='1,7,"aka","INVENTED","-0- "\r\n',
            ADD_CSV='1,7,"Street","City","Country","-0- "\r\n',
        )
        assert read(made) == ["1MadeUp"]
        assert read(made, take="name") == ["MADEUP", "INVENTED"]

    def test_remarks_that_are_cut_are_not_taken_for_whole(self, files):
        made = files(SDN_CSV=sdn(1, "MADEUP", "Digital Currency Address - XBT 1A; ".ljust(1000, "x")) + sdn(2, "OTHER"))
        with pytest.raises(ShellError, match="line 1: its remarks are cut"):
            read(made)

    @pytest.mark.parametrize(
        ("comments", "reason"),
        [
            ("", "are cut at 1,000 characters: give SDN_COMMENTS.CSV"),
            ('2,"of another"\r\n', "are cut at 1,000 characters: SDN_COMMENTS.CSV does not have the rest"),
            ('2,"of another"\r\n1,"eUp",""\r\n', "line 2: expected a number and a comment, got 3 columns"),
            ('2,"of another"\r\n1,"eUp\r\n', "line 2: unexpected end of data"),
        ],
    )
    def test_an_address_in_what_was_cut_off_is_missed_aloud(self, files, comments, reason):
        rows = {"SDN_CSV": sdn(1, "MADEUP", "DOB 1980; ".ljust(1000, "x")) + sdn(3, "OTHER", REMARKS)}
        told = []
        with pytest.raises(ShellError, match="rows are bad"):
            read(
                files(**rows, **({"COMMENTS_CSV": comments} if comments else {})), on_bad=lambda *bad: told.append(bad)
            )
        assert any(reason in f"line {line}: {why}" for _file, line, why in told)

    def test_comments_come_in_several_files(self, files):
        made = files(
            SDN_CSV=sdn(1, "A", "x" * 1000) + sdn(2, "B", "x" * 999 + "."),
            C1_CSV='7,"of another"\r\n',
            C2_CSV='1,"; Digital Currency Address - XBT 1A."\r\n',
        )
        assert read(made) == ["1A"]

    def test_xml(self, files):
        made = files(SDN_XML=xml(person("MADEUP", "1MadeUp", ETH, alias="INVENTED"), person("OTHER")))
        assert read(made) == ["1MadeUp", ETH.lower()]
        assert read(made, take="name") == ["INVENTED", "MADEUP, Ivan", "OTHER, Ivan"]

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (xml(person("A", "1A"))[:-10], "not XML: no element found"),
            (xml(person("A", "1A"), count=2), "Record_Count says 2 entries, and there are 1"),
            (xml(person("A", "1A"), count="²"), "Record_Count says ² entries, and there are 1"),
            (xml(person("A", "1A", "")), "an entry has no address"),
            ('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbb">]>' + xml(person("A", "1A"))[21:], "document type"),
            (xml(person("A", "1\x7fA")), "expected printable characters"),
        ],
    )
    def test_xml_that_is_not_whole_is_refused(self, files, text, reason):
        with pytest.raises(ShellError, match=re.escape(reason)):
            read(files(SDN_XML=text))

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ("2,too,few\r\n", "expected 12 columns, got 3"),
            (sdn("x", "NAME"), "expected a number and a name"),
            (sdn("²", "NAME"), "expected a number and a name"),
            (sdn(3, "-0-"), "expected a number and a name"),
            (sdn(3, "N", "Digital Currency Address - XBT"), "name 1 digital currency addresses, and 0 can be read"),
        ],
    )
    def test_a_bad_row_is_refused_and_told_and_may_be_left_out(self, files, row, reason):
        made = files(SDN_CSV=sdn(1, "MADEUP", REMARKS) + row + sdn(9, "LAST", "Digital Currency Address - TRX TLast."))
        with pytest.raises(
            ShellError, match=rf"1 rows are bad, at most 0 may be: SDN\.CSV, line 2: .*{re.escape(reason)}"
        ):
            read(made)
        told = []
        assert read(made, max_bad=1, on_bad=lambda *bad: told.append(bad)) == ["1MadeUp", ETH.lower(), "TLast"]
        assert [(file.name, line) for file, line, _ in told] == [("SDN.CSV", 2)]

    @pytest.mark.parametrize("form", ["csv", "xml"])
    def test_memory_does_not_grow_with_the_file(self, files, form):
        def peak(rows):
            if form == "csv":
                made = files(**{f"S{rows}_CSV": "".join(sdn(n + 1, f"N {n}", REMARKS) for n in range(rows))})
            else:
                made = files(**{f"S{rows}_XML": xml(*(person(f"N {n}", f"1A{n}") for n in range(rows)))})
            tracemalloc.start()
            try:
                assert sum(1 for _ in Reading(made)) == rows * (2 if form == "csv" else 1)
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

        peak(10)
        assert peak(4_000) < 3 * peak(400)


class TestOthers:
    def test_text(self, files):
        assert read(files(l_txt="\ufeff# comment\n a \n\nb # no comment\r\n")) == ["a", "b # no comment"]

    @pytest.mark.parametrize(
        ("text", "form"), [(sdn(1, "MADEUP", REMARKS), "csv"), ("\ufeff" + xml(person("A", "1A")), "xml")]
    )
    def test_ofacs_files_under_another_name_are_not_taken_for_text(self, files, text, form):
        with pytest.raises(UsageError, match=rf"looks like {form.upper()}; name it NAME\.{form}"):
            read(files(download=text))

    def test_csv_with_a_column(self, files):
        made = files(l_csv='name,address\n"A, B",x1\nC,x2\n')
        assert read(made, column="address") == ["x1", "x2"]
        for column in ("", "nosuch"):
            with pytest.raises(UsageError, match=r"l\.csv has no column"):
                read(made, column=column)

    @pytest.mark.parametrize(
        ("text", "bad", "left"),
        [
            ('x1,"A\nx2,B\nx3,C\n', [2, 3, 4], []),  # else one row whose second column has the other two
            ('x1,"A\nx2,B"x\nx3,C\n', [2, 3], ["x3"]),
            ('x1,"' + "A" * 140_000 + '"\nx3,C\n', [2], ["x3"]),
            ("x1,A\nx2\nx3,C\n", [3], ["x1", "x3"]),
        ],
    )
    def test_a_quote_that_is_not_closed_takes_no_row_along_in_silence(self, files, text, bad, left):
        made, told = files(l_csv="address,name\n" + text), []
        with pytest.raises(ShellError, match=f"{len(bad)} rows are bad"):
            read(made, column="address", on_bad=lambda _file, line, _reason: told.append(line))
        assert told == bad
        if left:
            assert read(made, column="address", max_bad=len(bad)) == left

    def test_lines_within_quotes_are_one_row(self, files):
        assert read(files(l_csv='address,name\nx1,"A\nB"\nx2,C\n'), column="address") == ["x1", "x2"]

    def test_a_column_that_is_there_twice_is_a_mistake(self, files):
        with pytest.raises(UsageError, match="more than one column 'address'"):
            read(files(l_csv="address,address\nx1,x2\n"), column="address")

    def test_alternative_names_of_absurd_length(self, files):
        made = files(ALT_CSV='1,2,"aka","ONE","-0-"\n3,4,"aka","' + "z" * 150_000 + '","-0-"\n')
        with pytest.raises(ShellError, match=r"ALT\.CSV, line 2: field larger"):
            read(made, take="name")

    @pytest.mark.parametrize(
        ("text", "bad"), [(b"a\nb\0c\n", 1), (b"a\n\xff\xfe\n", 1), (b"a\n" + b"x" * 1001 + b"\n", 1)]
    )
    def test_bad_lines(self, files, text, bad):
        made = files(l_txt=text)
        with pytest.raises(ShellError, match="1 rows are bad"):
            read(made)
        reading = Reading(made, max_bad=1)
        assert list(reading) == ["a"]
        assert reading.bad == bad

    def test_nothing_to_put_on_a_list_is_a_mistake(self, files):
        with pytest.raises(ShellError, match="there is no entry"):
            read(files(l_txt="# nothing\n"))

    def test_no_file(self, tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            read([tmp_path / "no.txt"])


@pytest.mark.parametrize(
    ("address", "normal"),
    [
        (ETH, ETH.lower()),
        ("BC1QXY2KGDYGJRSQTZQ2N0YRF2", "bc1qxy2kgdygjrsqtzq2n0yrf2"),
        ("1AbC", "1AbC"),
        ("TXyZ", "TXyZ"),
    ],
)
def test_letters_case_is_kept_where_it_means_something(address, normal):
    assert normal_address(address) == normal


@pytest.mark.parametrize("form", ["text", "column"])
def test_addresses_of_any_file_are_in_the_form_that_ofacs_are(files, form):
    if form == "text":
        assert read(files(l_txt=f"{ETH}\nAlice\n")) == [ETH.lower(), "Alice"]
    else:
        assert read(files(l_csv=f"who\n{ETH}\nAlice\n"), column="who") == [ETH.lower(), "Alice"]

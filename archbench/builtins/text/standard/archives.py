"""The archives of the standard text: what they are, and the hashes of the archive and of the text taken from it.

All are source distributions. To change one figure here is to make another text: results on it are not comparable.
"""

from dataclasses import dataclass
from typing import Literal

Size = Literal["small", "medium", "full"]


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive, and what `extraction.extract` makes of it."""

    name: str
    """Of the package, as an index knows it; ids of documents begin with it."""
    version: str
    licence: str
    sha256: str
    """Of the archive, in hex."""
    archive_bytes: int
    text_sha256: str
    """Of the documents in their stored form, in hex."""
    stored_bytes: int
    num_documents: int
    text_bytes: int
    """UTF-8 bytes of the documents."""
    most_bytes: int | None = None
    """Bytes of text at which extraction ends, so that no package is more than a quarter of the whole."""


def archives_of(size: Size) -> tuple[Archive, ...]:
    """The archives of `size`, those of the smaller sizes first."""
    match size:
        case "small":
            return _SMALL
        case "medium":
            return (*_SMALL, *_MEDIUM)
        case "full":
            return (*_SMALL, *_MEDIUM, *_FULL)


_SMALL = (
    Archive(
        name="docutils",
        version="0.23",
        licence="public domain, parts BSD-2-Clause",
        sha256="746f5060322511280a1e50eb76846ed6bf2342984b2ac04dc42caa1a8d78799e",
        archive_bytes=2_303_823,
        text_sha256="5f3735af2659e556a1091d15d5cc7c331c35a1cfd5f19a6dca7f0c76c7b8c0f7",
        stored_bytes=1_897_551,
        num_documents=145,
        text_bytes=1_824_868,
    ),
    Archive(
        name="pytest",
        version="9.2.0",
        licence="MIT",
        sha256="97c4f3b1f3c7414aa36465e09b8220f1d03627993bd51b1282e193753c80557b",
        archive_bytes=1_797_555,
        text_sha256="2fc225491c801507ff7e87d4cd78ec9032ff2dcf6cc7a594c04b493e5ea4365e",
        stored_bytes=3_062_675,
        num_documents=233,
        text_bytes=2_988_253,
    ),
    Archive(
        name="celery",
        version="5.7.0",
        licence="BSD-3-Clause, its docs folder CC-BY-SA-4.0",
        sha256="6a5dfcf6662287204f009a02002b9e66c83d4105e47ebabdc7079108772fc6f0",
        archive_bytes=2_075_113,
        text_sha256="8d703ca027c6bb6315574c17f77079b6dc85a72b2ba4d307add3ef933af6e280",
        stored_bytes=1_847_683,
        num_documents=341,
        text_bytes=1_775_885,
    ),
    Archive(
        name="peewee",
        version="4.5.3",
        licence="MIT",
        sha256="434576afaf806428a01f84af74c42fde59372c4f6a6eba26d9b5372113344a8a",
        archive_bytes=821_823,
        text_sha256="5d457af151e64dafe2473b05c34abfd124e74a214dd33ea2b689e2a044a36d67",
        stored_bytes=1_046_163,
        num_documents=49,
        text_bytes=1_015_104,
    ),
    Archive(
        name="coverage",
        version="7.17.5",
        licence="Apache-2.0",
        sha256="4f41d35b798714a2e79ec2097d6b03c92cd3b7de58e422fce7a1ca2c0c25b276",
        archive_bytes=1_009_924,
        text_sha256="7fb4bbebe2e2e667b5115f270fe48bafdb7496753bbf54a89d725fb80200b9b8",
        stored_bytes=514_519,
        num_documents=87,
        text_bytes=497_072,
    ),
    Archive(
        name="cryptography",
        version="50.0.2",
        licence="Apache-2.0 or BSD-3-Clause",
        sha256="7b46165bb56eb4704e2eaaf86f3c940d19154535d9b0ca7d6d590b04060e00d5",
        archive_bytes=880_623,
        text_sha256="88d8dffff7969a7eb72e93177d295e38e28b0d9cd3552e57d946b4f94f63abe4",
        stored_bytes=892_964,
        num_documents=92,
        text_bytes=864_920,
    ),
    Archive(
        name="scrapy",
        version="2.19.0",
        licence="BSD-3-Clause",
        sha256="34130726582b64c91531162ab277c4053e558876d49ba219cb43679e71d80a87",
        archive_bytes=1_457_780,
        text_sha256="2583263a442056814d541ca88e2fec9de823f6b90f7b786b8f134973309d1f27",
        stored_bytes=1_312_457,
        num_documents=147,
        text_bytes=1_268_485,
    ),
    Archive(
        name="numba",
        version="0.68.1",
        licence="BSD-2-Clause",
        sha256="9de461812470173a14eeb7e0bbd27c897dffe835402a33861166842fc5f6ea57",
        archive_bytes=2_858_572,
        text_sha256="066e9550657ebff05e3e998abeec352646619d6efed42cfa68f6104606029b08",
        stored_bytes=1_978_205,
        num_documents=333,
        text_bytes=1_915_927,
    ),
    Archive(
        name="twisted",
        version="26.10.0",
        licence="MIT",
        sha256="5f0355403e507fc23ceea85e9dbb4bc59335aabde41dd324e8b8cea180dd38de",
        archive_bytes=3_603_405,
        text_sha256="05cddc10c3e6a5a7b082c277d43ae0d4f48f955280b3ca29208d966b95629b9d",
        stored_bytes=3_001_103,
        num_documents=507,
        text_bytes=2_896_950,
    ),
    Archive(
        name="networkx",
        version="3.7",
        licence="BSD-3-Clause",
        sha256="fd77a511bd90f39f3d016351345b52cf5319b813bdca01de3f755d3cca62e96a",
        archive_bytes=1_866_482,
        text_sha256="be894ab68bb12b2164597c27e0b086a7c69e5f7d8b5a2eff8187fd024a38278e",
        stored_bytes=1_558_811,
        num_documents=269,
        text_bytes=1_494_097,
    ),
    Archive(
        name="trio",
        version="0.35.0",
        licence="MIT or Apache-2.0",
        sha256="7efb295c78a0ecd1235c5759e620b5da564ca80d2efcb0055423588547248b96",
        archive_bytes=609_525,
        text_sha256="b1ac1075b7e51182d2555da78835890051c36129244de18e2c3596ebd04c08e6",
        stored_bytes=588_506,
        num_documents=66,
        text_bytes=571_228,
    ),
    Archive(
        name="pip",
        version="26.3",
        licence="MIT",
        sha256="6c36ae7da8695be67e3cd9f7d87919667ced53f57ce2ede75d89b5912ed2bc4c",
        archive_bytes=1_934_348,
        text_sha256="6b1fdbbc87f46c1984d53d7bcf8c42407d6646924f4c13b3760cbfe8d3572274",
        stored_bytes=853_508,
        num_documents=168,
        text_bytes=824_565,
    ),
)
_MEDIUM = (
    Archive(
        name="django",
        version="6.1.3",
        licence="BSD-3-Clause",
        sha256="b5d2d9e35295065d13b1927b3f19a59bd119f737aa6299def14ccca1ae3c8c0d",
        archive_bytes=11_306_257,
        text_sha256="eeade49dcbc58f2515913a1ff3417fafd0f2b91f0ad0aa0743b8ab05acd45301",
        stored_bytes=6_125_344,
        num_documents=873,
        text_bytes=5_912_598,
    ),
    Archive(
        name="sqlalchemy",
        version="2.1.9",
        licence="MIT",
        sha256="d700a8b2edfb26282a470333d6bc4a454c4acda4d201a3bea7b72fa76c217d28",
        archive_bytes=10_657_094,
        text_sha256="27e465a4c90aae0b8c0a50d843f9f5313498a84309ff909f170b93f4bed17c09",
        stored_bytes=7_547_443,
        num_documents=418,
        text_bytes=7_317_496,
    ),
    Archive(
        name="sympy",
        version="1.14.0",
        licence="BSD-3-Clause",
        sha256="d3d3fe8df1e5a0b42f0e7bdf50541697dbe7d23746e894990c030e2b05e72517",
        archive_bytes=7_793_921,
        text_sha256="9e739fa447b7dedc22704d9771c49b13accc2945aa2adf8fed7cbf96985f6aa6",
        stored_bytes=5_578_826,
        num_documents=828,
        text_bytes=5_345_114,
    ),
    Archive(
        name="scikit-learn",
        version="1.9.1",
        licence="BSD-3-Clause",
        sha256="629cada3e33e2b9bf376cdc7614a47a4140b8aedc1d836579e359736fbd82977",
        archive_bytes=7_786_908,
        text_sha256="0fe40f2705b0a43de04dd8d6a26e3eb5b20d4c6fae1e17bebfddd6241b15cc3f",
        stored_bytes=5_231_086,
        num_documents=644,
        text_bytes=5_054_141,
    ),
    Archive(
        name="astropy",
        version="8.0.2",
        licence="BSD-3-Clause",
        sha256="e6af35823099ad6a40b57dbe5ff845f577374ea131925c9fa4b49eeab06c5310",
        archive_bytes=7_178_167,
        text_sha256="38f81fd9bc01c2a4115acc845ff0486ab1141a2fe0c603f6b4e6b144f236d279",
        stored_bytes=4_913_580,
        num_documents=629,
        text_bytes=4_746_296,
    ),
)
_FULL = (
    Archive(
        name="ironic",
        version="39.0.0",
        licence="Apache-2.0",
        sha256="205364829cf7ab1d03f80e4c684cf2aa6693170eae8457b9344100e43b737a5e",
        archive_bytes=3_216_626,
        text_sha256="a92ab35f1ae65df9cdb373f820064a7bb96f126b76d09fb78720dccd835e3129",
        stored_bytes=2_163_970,
        num_documents=381,
        text_bytes=2_085_970,
    ),
    Archive(
        name="swift",
        version="2.38.3",
        licence="Apache-2.0",
        sha256="561b2f8acc5ce834a0a2bac200e8ccd8784cb5c4a9e3731881d2e66dec4b6006",
        archive_bytes=3_965_753,
        text_sha256="83b64cf6803cea06e75320c041cf849402580554ee797829e9e43b95aa512d20",
        stored_bytes=1_778_984,
        num_documents=260,
        text_bytes=1_724_122,
    ),
    Archive(
        name="cinder",
        version="29.0.0",
        licence="Apache-2.0",
        sha256="6372ca98db3d7781031ce5950b44698badd6176db794ff1f74b0621be583429e",
        archive_bytes=6_754_679,
        text_sha256="413f42e040fd2d5b6e737ded349d0301aa378d9dc53b2dec2e3844c54c78e8f8",
        stored_bytes=2_670_245,
        num_documents=556,
        text_bytes=2_561_170,
    ),
    Archive(
        name="keystone",
        version="30.0.0",
        licence="Apache-2.0",
        sha256="8f3f77175a039e408d870c6ea697a4cc4e9cf2755bd6cbc11230db4146dd7df4",
        archive_bytes=1_849_291,
        text_sha256="bbe9196c41f8be85756e9363e7d5386f81788543543a395421edc5c79d9fd791",
        stored_bytes=886_426,
        num_documents=239,
        text_bytes=849_509,
    ),
    Archive(
        name="manila",
        version="23.0.1",
        licence="Apache-2.0",
        sha256="8594a27326116fc9203b1381faea327ea2777a30f85cbbaa4fa29d4818efd4c9",
        archive_bytes=3_856_622,
        text_sha256="427ee38913993652ef3cb348b5bc99a15da55728457f0fe6ea965fa3b463e60d",
        stored_bytes=1_609_602,
        num_documents=388,
        text_bytes=1_543_374,
    ),
    Archive(
        name="nova",
        version="34.0.0",
        licence="Apache-2.0",
        sha256="919eef77cda4ce0cc4746a5853b5d9341ebd0ae37bc8b1939eb77d17727c00df",
        archive_bytes=10_195_509,
        text_sha256="383df27ed06624622f9ad114d98a785bd9a7d7c66a991634f7ed198f7a7f1399",
        stored_bytes=3_043_301,
        num_documents=471,
        text_bytes=2_946_685,
    ),
    Archive(
        name="kolla-ansible",
        version="23.0.0",
        licence="Apache-2.0",
        sha256="213de150825e750829ab30e6655726626f2c6b57be06e6cc4716ae67eb364b7a",
        archive_bytes=1_305_395,
        text_sha256="d71f1292597618816952a2dc07d9c10b8662e10dcaa11836c8f3353c2bab7fe3",
        stored_bytes=582_700,
        num_documents=110,
        text_bytes=559_155,
    ),
    Archive(
        name="mypy",
        version="2.4.1",
        licence="MIT",
        sha256="63b590965691e540a335fa74dadf31a7069142f6b72e234689bbd244edf55623",
        archive_bytes=4_066_728,
        text_sha256="8a2c6cf79023dc275ccd8c3b208fb4f2ac77deeb64b74f2ca9becec79ee116ee",
        stored_bytes=1_591_123,
        num_documents=242,
        text_bytes=1_540_229,
    ),
    Archive(
        name="cython",
        version="3.3.1",
        licence="Apache-2.0",
        sha256="e0e45989e821bef6aa9ae15c7d583ab5e055f7406c4b3624e49e06d24e90375a",
        archive_bytes=3_743_354,
        text_sha256="a45adb3c01d56788ad0c3551ed2c289f349abb28907aaeb8f470c9e0445bc952",
        stored_bytes=1_279_371,
        num_documents=147,
        text_bytes=1_239_105,
    ),
    Archive(
        name="pandas",
        version="3.1.1",
        licence="BSD-3-Clause",
        sha256="05fed3e3b7c99b226f160e29d7d6cb7ef39638c758cbfe42b3f24ba34f04b859",
        archive_bytes=5_936_163,
        text_sha256="0df327da5bc94f6988a0de33c407b9a85510a319be6671ef0cc16829b19c36db",
        stored_bytes=2_385_892,
        num_documents=245,
        text_bytes=2_291_589,
    ),
    Archive(
        name="yt",
        version="4.4.2",
        licence="BSD-3-Clause",
        sha256="e0883a89c2543b436c3778f555edf253c71f252f744752dc1688f8524ad03b0b",
        archive_bytes=4_946_809,
        text_sha256="dc5fc8b4e649244ac414dba90aa343858cae35d43f54ca344bd38c3ffc0f3342",
        stored_bytes=1_620_341,
        num_documents=214,
        text_bytes=1_559_845,
    ),
    Archive(
        name="awscli",
        version="1.46.3",
        licence="Apache-2.0",
        sha256="9b1146f4159bdf98688d900e2ffd0ac05c18f7fb28641c6b0817e64574e3ce1f",
        archive_bytes=16_789_069,
        text_sha256="73c707293637735834326d88562e589d0fea0b00e047798927cbc05a5aba3aa3",
        stored_bytes=26_993_576,
        num_documents=5_108,
        text_bytes=26_016_621,
        most_bytes=26_000_000,
    ),
    Archive(
        name="google-api-python-client",
        version="2.202.0",
        licence="Apache-2.0",
        sha256="ae126c8e91f43c331e23dbd83bc4a8075699dd48089cebc7295f6ab2f5850fc5",
        archive_bytes=16_541_462,
        text_sha256="4edfd14e8dbc0aa4db02e7713987024d8ab0440e753be35c8732fd8862018619",
        stored_bytes=17_136_053,
        num_documents=668,
        text_bytes=16_829_386,
    ),
)

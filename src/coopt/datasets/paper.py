"""The 11 data sets of the CoOp paper and ImageNet's four variants.

Folders, templates, class names and splits are facts of the authors' code (github.com/KaiyangZhou/CoOp: datasets/*.py,
DATASETS.md, trainers/zsclip.py), as are the numbers of images unless their certainty says otherwise. Checksums are
those that torchvision publishes for the same files.
"""

from coopt.datasets.facts import BenchmarkFacts, RemoteFile
from coopt.datasets.imagenet import read_imagenet, read_imagenet_folders, read_imagenet_v2
from coopt.datasets.readers import (
    read_aircraft,
    read_cars,
    read_class_folders,
    read_flowers,
    read_pets,
    read_sun,
    read_ucf,
)

PHOTO = "a photo of a {}."
VGG = "https://www.robots.ox.ac.uk/~vgg/data"
CLASSNAMES = "classnames.txt is shared with the authors' code (DATASETS.md of github.com/KaiyangZhou/CoOp)"

EUROSAT_NAMES = {
    "AnnualCrop": "Annual Crop Land",
    "HerbaceousVegetation": "Herbaceous Vegetation Land",
    "Highway": "Highway or Road",
    "Industrial": "Industrial Buildings",
    "Pasture": "Pasture Land",
    "PermanentCrop": "Permanent Crop Land",
    "Residential": "Residential Buildings",
    "SeaLake": "Sea or Lake",
}
CALTECH_NAMES = {"airplanes": "airplane", "Faces": "face", "Leopards": "leopard", "Motorbikes": "motorbike"}

PAPER = (
    BenchmarkFacts(
        "imagenet", "ImageNet", "imagenet", read_imagenet, PHOTO, 1000, 1281167, None, 50000, "from_memory",
        images="images", needs=("images/train", "images/val", "classnames.txt"),
        epochs=50, usual_source=True, joins_ensemble=False,
        licence="ImageNet's terms of access: research and education, no redistribution",
        homepage="https://image-net.org",
        by_hand="ImageNet is given out after an account and its terms are accepted on https://image-net.org. Unpack "
        "the training and validation images to images/train and images/val, a folder per class in both. " + CLASSNAMES,
    ),
    BenchmarkFacts(
        "caltech101", "Caltech101", "caltech-101", read_class_folders, PHOTO, 100, 4128, 1649, 2465,
        images="101_ObjectCategories", split_file="split_zhou_Caltech101.json", aliases=("caltech-101",),
        rename=CALTECH_NAMES, leave_out=("BACKGROUND_Google", "Faces_easy"),
        licence="CC BY 4.0", homepage="https://data.caltech.edu/records/mzrjq-6wc02", mirror="caltech-101.zip",
        official=(
            RemoteFile(
                "http://www.vision.caltech.edu/Image_Datasets/Caltech101/101_ObjectCategories.tar.gz",
                md5="b224c7392d521a49829488ab0f1120d9", dead=True,
            ),
        ),
    ),
    BenchmarkFacts(
        "oxford-pets", "OxfordPets", "oxford_pets", read_pets, "a photo of a {}, a type of pet.", 37, 2944, 736, 3669,
        images="images", split_file="split_zhou_OxfordPets.json", aliases=("pets", "oxford-iiit-pet"),
        needs=("annotations/trainval.txt", "annotations/test.txt"),
        licence="CC BY-SA 4.0", homepage="https://www.robots.ox.ac.uk/~vgg/data/pets/", mirror="oxford_pets.zip",
        official=(
            RemoteFile(f"{VGG}/pets/data/images.tar.gz", md5="5c4f3ee8e5d25df40f4fd59a7f44e54c"),
            RemoteFile(f"{VGG}/pets/data/annotations.tar.gz", md5="95a8c909bbe2e81eed6a22bccdf3f68f"),
        ),
    ),
    BenchmarkFacts(
        "stanford-cars", "StanfordCars", "stanford_cars", read_cars, PHOTO, 196, 6509, 1635, 8041,
        split_file="split_zhou_StanfordCars.json", aliases=("cars",),
        needs=("cars_train", "cars_test", "devkit/cars_meta.mat", "devkit/cars_train_annos.mat",
               "cars_test_annos_withlabels.mat"),
        licence="ImageNet's terms: research and education, no commercial use",
        homepage="https://ai.stanford.edu/~jkrause/cars/car_dataset.html", mirror="stanford_cars.zip",
        official=(RemoteFile("http://ai.stanford.edu/~jkrause/car196/cars_train.tgz", dead=True),),
    ),
    BenchmarkFacts(
        "flowers102", "Flowers102", "oxford_flowers", read_flowers, "a photo of a {}, a type of flower.", 102,
        4093, 1633, 2463, images="jpg", split_file="split_zhou_OxfordFlowers.json",
        aliases=("oxford-flowers", "flowers"), needs=("imagelabels.mat", "cat_to_name.json"),
        licence="none stated; images from the web, for research", mirror="oxford_flowers.zip",
        homepage="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
        official=(
            RemoteFile(f"{VGG}/flowers/102/102flowers.tgz", md5="52808999861908f626f3c1f4e79d11fa"),
            RemoteFile(f"{VGG}/flowers/102/imagelabels.mat", md5="e0620be6f572b9609742df49c70aed4d", unpack=False),
        ),
    ),
    BenchmarkFacts(
        "food101", "Food101", "food-101", read_class_folders, "a photo of {}, a type of food.", 101,
        50500, 20200, 30300, "derived", images="images", split_file="split_zhou_Food101.json", aliases=("food-101",),
        licence="none stated; images from foodspotting.com, for research", mirror="food101.zip",
        homepage="https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
        official=(
            RemoteFile("http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",
                       md5="85eeb15f3717b99a5da872d97d918f87", below="food-101"),
        ),
    ),
    BenchmarkFacts(
        "fgvc-aircraft", "FGVCAircraft", "fgvc_aircraft", read_aircraft, "a photo of a {}, a type of aircraft.", 100,
        3334, 3333, 3333, images="images", aliases=("aircraft",),
        needs=("variants.txt", "images_variant_train.txt", "images_variant_val.txt", "images_variant_test.txt"),
        licence="research only, no commercial use (the photographers' terms)", mirror="fgvc_aircraft.zip",
        homepage="https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/",
        official=(
            RemoteFile(f"{VGG}/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz", below="fgvc-aircraft-2013b/data"),
        ),
    ),
    BenchmarkFacts(
        "sun397", "SUN397", "sun397", read_sun, PHOTO, 397, 15880, 3970, 19850, "derived",
        images="SUN397", split_file="split_zhou_SUN397.json", aliases=("sun-397",),
        needs=("ClassName.txt", "Training_01.txt", "Testing_01.txt"),
        licence="research only", homepage="https://vision.princeton.edu/projects/2010/SUN/", mirror="sun397.zip",
        official=(
            RemoteFile("http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz",
                       md5="8ca2778205c41d23104230ba66911c7a"),
            RemoteFile("https://vision.princeton.edu/projects/2010/SUN/download/Partitions.zip"),
        ),
    ),
    BenchmarkFacts(
        "dtd", "DTD", "dtd", read_class_folders, "{} texture.", 47, 2820, 1128, 1692, images="images",
        split_file="split_zhou_DescribableTextures.json", aliases=("describable-textures",),
        licence="research only", homepage="https://www.robots.ox.ac.uk/~vgg/data/dtd/", mirror="dtd.zip",
        official=(
            RemoteFile(f"{VGG}/dtd/download/dtd-r1.0.1.tar.gz", md5="fff73e5086ae6bdbea199a49dfb8a4c1", below="dtd"),
        ),
    ),
    BenchmarkFacts(
        "eurosat", "EuroSAT", "eurosat", read_class_folders, "a centered satellite photo of {}.", 10,
        13500, 5400, 8100, images="2750", split_file="split_zhou_EuroSAT.json", rename=EUROSAT_NAMES,
        licence="MIT", homepage="https://github.com/phelber/EuroSAT", mirror="eurosat.zip",
        official=(
            RemoteFile("https://madm.dfki.de/files/sentinel/EuroSAT.zip", md5="c8fa014336c82ac7804f0398fcb19387"),
        ),
    ),
    BenchmarkFacts(
        "ucf101", "UCF101", "ucf101", read_ucf, "a photo of a person doing {}.", 101, 7639, 1898, 3783,
        images="UCF-101-midframes", split_file="split_zhou_UCF101.json", aliases=("ucf-101",),
        needs=("ucfTrainTestlist/classInd.txt", "ucfTrainTestlist/trainlist01.txt", "ucfTrainTestlist/testlist01.txt"),
        licence="none stated; videos from YouTube, for research",
        homepage="https://www.crcv.ucf.edu/data/UCF101.php", mirror="ucf101.zip",
        by_hand="The official site has the videos; the middle frames that the paper uses are in the mirror only",
    ),
)  # fmt: skip

SHIFTED = (
    BenchmarkFacts(
        "imagenetv2", "ImageNetV2", "imagenetv2", read_imagenet_v2, PHOTO, 1000, None, None, 10000, "from_memory",
        images="imagenetv2-matched-frequency-format-val", needs=("classnames.txt",), variant_of="imagenet",
        joins_ensemble=False,
        aliases=("imagenet-v2",), licence="MIT (the images are their photographers')", mirror="imagenetv2.zip",
        homepage="https://github.com/modestyachts/ImageNetV2", by_hand=CLASSNAMES,
        official=(
            RemoteFile("https://s3-us-west-2.amazonaws.com/imagenetv2public/imagenetv2-matched-frequency.tar.gz"),
        ),
    ),
    BenchmarkFacts(
        "imagenet-sketch", "ImageNet-Sketch", "imagenet-sketch", read_imagenet_folders, PHOTO, 1000,
        None, None, 50889, "from_memory", images="images", needs=("classnames.txt",), variant_of="imagenet",
        joins_ensemble=False,
        licence="MIT (the images are their authors')", mirror="imagenet-sketch.zip",
        homepage="https://github.com/HaohanWang/ImageNet-Sketch", by_hand=CLASSNAMES,
    ),
    BenchmarkFacts(
        "imagenet-a", "ImageNet-A", "imagenet-adversarial", read_imagenet_folders, PHOTO, 200,
        None, None, 7500, "from_memory", images="imagenet-a", needs=("classnames.txt",), variant_of="imagenet",
        joins_ensemble=False,
        aliases=("imagenet-adversarial",), licence="MIT (the images are their photographers')",
        mirror="imagenet-adversarial.zip", homepage="https://github.com/hendrycks/natural-adv-examples",
        official=(RemoteFile("https://people.eecs.berkeley.edu/~hendrycks/imagenet-a.tar"),), by_hand=CLASSNAMES,
    ),
    BenchmarkFacts(
        "imagenet-r", "ImageNet-R", "imagenet-rendition", read_imagenet_folders, PHOTO, 200,
        None, None, 30000, "from_memory", images="imagenet-r", needs=("classnames.txt",), variant_of="imagenet",
        joins_ensemble=False,
        aliases=("imagenet-rendition",), licence="MIT (the images are their authors')",
        mirror="imagenet-rendition.zip", homepage="https://github.com/hendrycks/imagenet-r",
        official=(RemoteFile("https://people.eecs.berkeley.edu/~hendrycks/imagenet-r.tar"),), by_hand=CLASSNAMES,
    ),
)  # fmt: skip

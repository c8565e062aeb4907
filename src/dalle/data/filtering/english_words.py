"""Words that nearly every English caption is made of, for captions too short for a language detector."""

ENGLISH_WORDS = frozenset(
    """
    about above abstract across after against airplane alone along also among and another any anyone anything apple
    are around at away baby back background bag ball bathroom beach beak bear beautiful because bed bedroom been
    before behind being belly below bench beneath beside between beyond bicycle big bike bill bird birds black blue
    boat body book books both bottle bottom bowl box boy bread breast bridge bright brown building buildings but by
    cake can car cars castle cat cats chair child children church circle city clock close close-up clouds coast
    colored colorful colors colour coloured colourful computer corner could couple cow cream cross crown cube cup
    cyan dark dawn day diamond did different do does dog dogs doing dots dotted down drawing dress during dusk each
    early edge eight empty end evening every eye eyes face family famous far farm feathers feet few field fire first
    fish five flat flowers food for forest four fresh from fruit full funny garden get giraffe girl glass go going
    golden good grass gray great green grey ground group hair half hands happy has have having head heart high hill
    hills his holding home horse horses house how if inside into island it its just kind kitchen lake landscape
    laptop last leaves left legs less life light like line lines little living long looking looks lots low made make
    many meat middle mirror misty moon more morning most motorcycle mountain mountains much music must my near
    nearly neck new next nice night noon nothing now ocean off often old only onto open or other our out outside own
    painting parked parrot past pattern people phone photo photograph picture pictures pink plain plane player
    playing pond pool pretty purple quiet rain rectangle rendering right ring river road rocks rolling roof room
    round row same sea seen seven several shaded shape shapes she sheep ship shirt shoes short should shown shows
    side sign silver sink sitting six skateboard sketch sky small snow soft some somebody someone something sphere
    spotted spring square squares standing stars still street striped stripes such summer sun sunset swimming tail
    take team textured than that the their them then there these they thick thin thing this those three throat
    through tiny to together toilet too top toward towards tower town toy tree trees triangle truck two umbrella
    until upon upper use used valley vase very view village walk walking wall water waves way wearing well what when
    where which while white who whole whose why wide will window wing wings with within without woman women wood
    wooden world would yard year yellow yes yet you young your zebra
    """.split()
)

# English too, but spelled alike in Dutch, French, German, Spanish or another neighbour: no evidence either way
SHARED_WORDS = frozenset(
    """
    a all am an animal arm as be bus camera door gold had hand hat he her here him i image in instrument is large
    late man me men mini nine no not of office on one orange oval over pale paper park part piece pizza plate
    portrait red rock rose sand simple single so sofa son star surf table tall tan ten tennis texture train
    turquoise under up us van violet war was we were winter
    """.split()
)
